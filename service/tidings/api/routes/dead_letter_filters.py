"""The filters of dead letters, in a query or in a job's body: the same as the command line's."""

from collections.abc import Iterable
from uuid import UUID

from pydantic import Field

from tidings.api.route import AnyCall
from tidings.api.routes.parameters import End, TestsQuery, Text, Time, tenant_of
from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.outcome import Reason
from tidings.operations.dead_letters.query import DeadLetterQuery


class DeadLetterFilters(TestsQuery):
    """Which dead letters; what is left out says nothing."""

    channel: str | None = Field(None, description="Only in this channel.")
    reason: Reason | None = Field(None, description="Only with this reason.")
    fingerprint: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{1,64}$",
        description="Only in this group: its fingerprint or first digits.",
    )
    since: Time | None = Field(None, description="Dead-lettered then or later.")
    until: End | None = Field(None, description="Dead-lettered before.")
    user_id: str | None = Field(None, description="Only for this user.")
    entity: Text | None = Field(None, description="Only about this entity: `type` or `type:id`.")
    category: str | None = Field(None, description="Only in this category.")
    recipient: str | None = Field(None, description="Only to this recipient, in full.")

    def query(
        self,
        call: AnyCall,
        *,
        ids: Iterable[UUID] = (),
        states: Iterable[DeadLetterState] = (),
    ) -> DeadLetterQuery:
        """For the operation.

        Args:
            call: The request, whose key has a tenant or none, and may be a test key.
            ids: Of dead letters or notifications.
            states: Only in one of these.

        Raises:
            ApiProblem: Another tenant is asked for, or what is no test with a test key.
            InvalidRequest: A value can't be read.
        """
        return DeadLetterQuery.read(
            ids=[IdPrefix.parse(str(id)) for id in ids],
            channel=self.channel,
            reason=self.reason,
            fingerprint=self.fingerprint,
            since=None if self.since is None else self.since.isoformat(),
            until=None if self.until is None else self.until.isoformat(),
            user=self.user_id,
            entity=self.entity,
            tenant=tenant_of(call, self.tenant),
            category=self.category,
            to=self.recipient,
            states=states,
            test=call.tests(self.test),
        )
