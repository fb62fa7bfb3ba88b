"""The JSON of the replies, as the OpenAPI document describes it; the operations' views write it."""
