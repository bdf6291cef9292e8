"""The bounded memory of answers."""

from __future__ import annotations

from tocsin.alert_manager.memo import Memo


def test_an_answer_is_made_once_until_the_memo_is_full() -> None:
    made: list[int] = []

    def square(n: int) -> int:
        made.append(n)
        return n * n

    memo: Memo[int, int] = Memo(most=2)
    for n in (1, 2, 2, 3, 2):
        assert memo.recall(n, lambda n=n: square(n)) == n * n  # type: ignore[misc]  # a default
    assert made == [1, 2, 3, 2]
    assert len(memo) == 2
