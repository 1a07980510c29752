"""Votes and best-of-n: what was recorded comes out again, ties included."""

from __future__ import annotations

import json
from itertools import combinations, permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.places import SHARED

from thinkpace.controllers.voting import best_of, vote, weighted
from thinkpace.eval.stats.at_k import Answers, maj_at_k, maj_interval, majorities, pass_at_k, pass_interval

FOLDER = SHARED / "rm_bon_math100x8"


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=6), min_size=1, max_size=4), st.integers(1, 4))
def test_pass_at_k_is_the_share_of_choices_with_a_right_one(right: list[list[bool]], k: int) -> None:
    shares = [[any(chosen) for chosen in combinations(one, k)] for one in right]
    assert pass_at_k(right, k) == pytest.approx(sum(sum(s) / len(s) for s in shares) / len(shares))


ANSWERS = st.lists(st.sampled_from((None, "7", "7.0", "5", "4")), min_size=1, max_size=5).map(
    lambda said: [(answer, answer in ("7", "7.0")) for answer in said]
)


@given(ANSWERS)
def test_maj_at_k_is_the_share_of_choices_in_every_order(answers: Answers) -> None:
    """Against the vote itself, whose ties go to the first sample: every k of them, in every order."""
    for k in range(1, len(answers) + 1):
        chosen = [(one, vote([answer for answer, _ in one])) for one in permutations(answers, k)]
        assert maj_at_k([answers], k) == pytest.approx(
            sum(at is not None and one[at][1] for one, at in chosen) / len(chosen)
        )


def test_of_one_sample_all_are_the_accuracy() -> None:
    answers = [[("7", True), ("5", False), (None, False), ("7", True)]] * 3
    assert pass_interval(answers, 1) == pytest.approx(maj_interval(answers, 1))
    assert maj_interval(answers, 1)[0] == 0.5


def test_many_samples_take_no_time() -> None:
    """64 samples with 40 different answers; chances stay chances."""
    found = majorities([(str(i % 40), i % 40 == 0) for i in range(64)])
    assert found[0] == pytest.approx(2 / 64)
    assert all(0 <= chance <= 1 for chance in found)
    with pytest.raises(ValueError, match="1,000"):
        majorities([("7", True)] * 1001)


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(ValueError, match="k must be between 1 and"):
        pass_at_k([[True]], 2)
    with pytest.raises(ValueError, match="k must be between 1 and"):
        maj_at_k([[("1", True)]], 0)
    with pytest.raises(ValueError, match="rewards must be numbers"):
        best_of([float("nan")])
    with pytest.raises(ValueError, match="one number >= 0 per answer"):
        vote(["1"], [-1.0])
    with pytest.raises(ValueError, match="weights are one of"):
        weighted([1.0], "square")
    assert str(pass_at_k([], 1)) == str(maj_at_k([], 1)) == "nan"


def test_answers_that_are_missing_take_no_part() -> None:
    assert vote([None, "1", None]) == 1
    assert maj_at_k([[(None, False), (None, False)], [("1", True), (None, False)]], 2) == 0.5


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the shared data is not beside this checkout")
def test_recorded_votes_come_out_again() -> None:
    """Exactly: pass@1, pass@8, best of 8, majority and weighted votes, and what each of them chose."""
    expected = json.loads((FOLDER / "expected.json").read_text())
    rows: list[dict[str, Any]] = [json.loads(line) for line in (FOLDER / "math_cot.jsonl").read_text().splitlines()]
    right = [row["score"] for row in rows]
    assert pass_at_k(right, 1) == expected["pass_at_1_mean"]
    assert pass_at_k(right, 8) * len(rows) == expected["pass_at_8"]
    shared = 0.0  # what ties give to the right answers among them; the recorded votes give a tie to the first
    for row in rows:
        times = [row["pred"].count(answer) for answer in row["pred"]]
        tied = {
            answer: right for answer, right, n in zip(row["pred"], row["score"], times, strict=True) if n == max(times)
        }
        shared += sum(tied.values()) / len(tied)
    assert maj_at_k([list(zip(row["pred"], row["score"], strict=True)) for row in rows], 8) * len(rows) == (
        pytest.approx(shared)
    )
    totals = {"best_of_8_by_reward": 0, "majority_at_8": 0, "weighted_vote_sigmoid": 0, "weighted_vote_exp": 0}
    for row, known in zip(rows, expected["per_problem"], strict=True):
        rewards = [one[0] for one in row["pred_score"]]
        best = best_of(rewards)
        assert (best, row["pred"][best]) == (known["best_of_8"]["sample"], known["best_of_8"]["answer"])
        totals["best_of_8_by_reward"] += row["score"][best]
        for total, name, how in (
            ("majority_at_8", "majority", "one"),
            ("weighted_vote_sigmoid", "weighted_sigmoid", "sigmoid"),
            ("weighted_vote_exp", "weighted_exp", "exp"),
        ):
            at = vote(row["pred"], weighted(rewards, how))
            assert at is not None
            assert (row["pred"][at], row["score"][at]) == (known[name]["answer"], known[name]["right"])
            totals[total] += row["score"][at]
    assert totals == {name: expected[name] for name in totals}
