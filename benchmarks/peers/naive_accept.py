"""Accepting as it is usually written: FastAPI, a pydantic body, one INSERT and one confirmed publish for each request.

python -m benchmarks.peers.naive_accept PORT, with BENCH_AMQP_URL and BENCH_DATABASE_URL.
"""

import os
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
import asyncpg
import uvicorn
from fastapi import FastAPI, Request
from pydantic import BaseModel

TABLE = (
    "CREATE TABLE IF NOT EXISTS naive_accepted (id uuid PRIMARY KEY, key text UNIQUE, body text)"
)
INSERT = "INSERT INTO naive_accepted VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
QUEUE = "naive.accepted"


class Mail(BaseModel):
    """A notification by email."""

    channel: str
    recipient: str
    subject: str
    body: str
    category: str = "transactional"
    user_id: str | None = None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """A pool of connections and a confirming channel, for as long as it serves."""
    pool = await asyncpg.create_pool(os.environ["BENCH_DATABASE_URL"], max_size=10)
    connection = await aio_pika.connect_robust(os.environ["BENCH_AMQP_URL"])
    async with pool, connection:
        await pool.execute(TABLE)
        channel = await connection.channel(publisher_confirms=True)
        await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        app.state.pool, app.state.exchange = pool, channel.default_exchange
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/v1/notifications", status_code=202)
async def accept(mail: Mail, request: Request) -> dict[str, str]:
    """Store it, publish it, answer."""
    id_, body = uuid.uuid4(), mail.model_dump_json()
    await app.state.pool.execute(INSERT, id_, request.headers.get("idempotency-key"), body)
    message = aio_pika.Message(body.encode(), delivery_mode=2, message_id=str(id_))
    await app.state.exchange.publish(message, QUEUE)
    return {"id": str(id_)}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
