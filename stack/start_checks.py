"""What is asked of Kafka before a Flink job starts from a checkpoint.

Do its offsets still mean the same records, and can it still commit what the checkpoint counts as written?
"""

from pathlib import Path

from stack import offsets, transactions
from stack.errors import RefusedError
from stack.jobs import Job
from stack.run_book import Point, RunBook
from stack.settings import Settings

SHOWN = 5


def check(settings: Settings, name: str, job: Job, book: RunBook, point: Point | None, accept_loss: bool) -> dict[str, str]:
    """Refuse a start that would read records twice, skip some, or leave a hole in what the job wrote.

    Args:
        settings: of the stack.
        name: of the job.
        job: as `config/jobs.yaml` has it.
        book: its run book.
        point: where it is to start; None: at the beginning, with nothing to lose.
        accept_loss: whether a hole is known and accepted.

    Returns:
        Ids of the topics the job reads.

    Raises:
        RefusedError: the start is refused.
        StackError: Kafka does not answer.
    """
    bootstrap = settings.kafka
    ids = offsets.topic_ids(offsets.topics_of(job), bootstrap)
    if point is None:
        return ids
    offsets.refuse_made_anew(name, book.topic_ids, ids)
    offsets.refuse_cut(name, offsets.positions(job, bootstrap))
    lost = [] if accept_loss else transactions.lost_output(settings, Path(point.path))
    if lost:
        more = f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
        raise RefusedError(
            f"{name} would leave a hole: {point.path} counts as written what is in no topic, because these transactions were ended before "
            f"it could commit them: {', '.join(lost[:SHOWN])}{more}",
            "records of about one checkpoint's interval are missing from the clean topics and from ClickHouse, while profiles have them. "
            f"Accept that with `cdp job start {name} --accept-loss` (`cdp verify` then names the missing records), or go back to an older "
            "savepoint with --from PATH --rewind: what came after it is written again",
        )
    return ids
