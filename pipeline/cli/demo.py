"""The tour: every step that a user takes, on this machine, in a minute or two."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markdown import Markdown
from rich.panel import Panel

from pipeline.aws.api_client import ApiClient
from pipeline.cli.grants import set_grants
from pipeline.cli.layouts import put_layout
from pipeline.cli.output import JsonFlag, print_json, receipt_facts, say, screen, table
from pipeline.cli.query import run_query
from pipeline.cli.session import Deployment
from pipeline.cli.uploads import put_files, wait_for_receipts
from pipeline.errors import PermanentError
from pipeline.local import down, up

STATE_DIR = Path(".pantok") / "demo"
SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"
TIMEOUT_SECONDS = 90.0

SPEND = """
SELECT card_number_token AS token, any_value(card_number_last4) AS last4,
       count(*) AS payments, sum(amount) AS spend
FROM tokenized WHERE layout = 'card-present'
GROUP BY token ORDER BY spend DESC LIMIT 5
"""
BOTH_FILES = """
SELECT count(DISTINCT card_number_token) AS cards_in_both_files FROM tokenized
WHERE layout = 'acquirer-pipe' AND card_number_token IN (
    SELECT card_number_token FROM tokenized WHERE layout = 'card-present')
"""


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the stack up, to look around.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Shows the product: uploads, receipts, a query, a failure repaired, a token opened."""
    if not SAMPLES.is_dir():
        raise PermanentError("no_sample_data", "run the demo from a checkout of the project")
    started = time.monotonic()
    with _stack(keep=keep) as target:
        summary = _Tour(target, is_shown=not as_json).run()
    summary["seconds"] = round(time.monotonic() - started, 1)
    if as_json:
        print_json(summary)
    else:
        screen.print(f"\nDone in {summary['seconds']:.0f} seconds.", style="bold green")


@contextmanager
def _stack(*, keep: bool) -> Iterator[Deployment]:
    down(STATE_DIR, report=say, keep_data=False)
    stack = up(STATE_DIR, report=say)
    try:
        yield Deployment("demo", stack.session(), stack.outputs)
    finally:
        if keep:
            say(f"The stack stays up: PANTOK_LOCAL_DIR={STATE_DIR} pantok jobs")
        else:
            down(STATE_DIR, report=say, keep_data=False)


class _Tour:
    def __init__(self, target: Deployment, *, is_shown: bool) -> None:
        self._target = target
        self._is_shown = is_shown
        self._step = 0

    def run(self) -> dict[str, Any]:
        self._explain(
            "Two settlement files go in",
            "`card_present.csv` (1,000 payments) and `acquirer_pipe.txt` (500 records with header, "
            "trailer and control totals) are put into the **quarantine bucket**. S3 tells SQS, SQS "
            "feeds the Lambda: the same template as on AWS runs here. Nothing leaves that worker "
            "but tokens and last4; what the layout does not name is dropped.",
        )
        first = self._upload("card-present", "card_present.csv")
        second = self._upload("acquirer-pipe", "acquirer_pipe.txt")
        spend = self._query()
        again = self._again()
        dead, repaired = self._failure()
        opened = self._opened(spend[0]["token"])
        receipts = [first, second, again, repaired]
        return {
            "receipts": receipts,
            "spend_by_token": spend,
            "dead_letters": dead,
            "detokenized": opened,
        }

    def _upload(self, layout: str, name: str) -> Mapping[str, Any]:
        uploads = put_files(self._target, [SAMPLES / name], layout)
        receipt = wait_for_receipts(self._target, uploads, TIMEOUT_SECONDS)[0]
        if self._is_shown:
            receipt_facts(receipt)
        return receipt

    def _query(self) -> list[dict[str, Any]]:
        self._explain(
            "Analytics without cards",
            "The Parquet files hold a token for each card, the same in every file: spend can be "
            "added up and files can be joined, and no card number is anywhere near.",
        )
        spend = run_query(self._target, SPEND)
        joined = run_query(self._target, BOTH_FILES)
        self._show("spend by token", spend.to_pylist())
        self._show("", joined.to_pylist())
        return list(spend.to_pylist())

    def _again(self) -> Mapping[str, Any]:
        self._explain(
            "The same cards again",
            "Uploaded once more, the file costs look-ups only: no new token, no vault write, no "
            "call to KMS for a data key. Look at the AWS calls of this receipt.",
        )
        return self._upload("card-present", "card_present.csv")

    def _failure(self) -> tuple[list[dict[str, Any]], Mapping[str, Any]]:
        self._explain(
            "A file that nobody has described",
            "`acme_unknown.csv` asks for a layout that does not exist. It is not guessed at and "
            "not lost: the message goes to the **dead-letter queue** with its reason.",
        )
        uploads = put_files(self._target, [SAMPLES / "acme_unknown.csv"], "acme")
        wait_for_receipts(self._target, uploads, TIMEOUT_SECONDS)
        letters = self._dead_letters()
        self._explain(
            "Repair the cause, replay the message",
            "A layout is a page of TOML. `acme.toml` is added (no redeploy), the letter replayed.",
        )
        put_layout(self._target, SAMPLES / "layouts" / "acme.toml")
        office = self._target.dead_letters
        with office.letters() as held:
            for letter in held:
                office.replay(letter)
        return letters, self._committed(uploads)

    def _opened(self, token: str) -> list[dict[str, Any]]:
        self._explain(
            "Back to a card, for the few who may",
            "`grants.toml` lets the chargeback desk see this card, masked, for that purpose. "
            "The same caller asks once more, for marketing. Both calls are on record.",
        )
        set_grants(self._target, SAMPLES / "grants.toml")
        answers = [self._answer(token, purpose) for purpose in ("chargeback", "marketing")]
        self._show("POST /detokenize", answers)
        return answers

    def _answer(self, token: str, purpose: str) -> dict[str, Any]:
        api = ApiClient(self._target.session, self._target.outputs["ApiUrl"])
        try:
            answer = str(api.detokenize([token], purpose)[0]["pan"])
        except PermanentError as refused:
            answer = f"refused: {refused.code}"
        return {"token": token, "purpose": purpose, "answer": answer}

    def _dead_letters(self) -> list[dict[str, Any]]:
        with self._target.dead_letters.letters() as held:
            letters = [dict(each.letter) for each in held]
        shown = ("reason", "detail", "layout", "attempts")
        self._show("dead letters", [{name: each[name] for name in shown} for each in letters])
        return letters

    def _committed(self, uploads: Sequence[Any]) -> Mapping[str, Any]:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        receipt = wait_for_receipts(self._target, uploads, TIMEOUT_SECONDS)[0]
        while receipt["status"] != "committed" and time.monotonic() < deadline:
            time.sleep(0.3)
            receipt = wait_for_receipts(self._target, uploads, TIMEOUT_SECONDS)[0]
        if receipt["status"] != "committed":
            raise PermanentError("replay_failed", "the replayed file did not go through")
        if self._is_shown:
            receipt_facts(receipt)
        return receipt

    def _explain(self, title: str, text: str) -> None:
        if self._is_shown:
            self._step += 1
            heading = f"[bold]{self._step}. {title}[/]"
            screen.print()
            screen.print(Panel(Markdown(text), title=heading, title_align="left", width=100))

    def _show(self, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
        if self._is_shown and rows:
            table(title, list(rows[0]), [tuple(row.values()) for row in rows])
