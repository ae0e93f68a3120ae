"""The settings' default, the tenant's policy and the task's own, merged."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.errors import SettingsError
from schema.messages.vote import VotePolicy, Voter
from schema.policies import MOST_RULES, default_policy, laxer, merged
from schema.settings import Settings

OURS = VotePolicy()


def fields(tenant: VotePolicy, **task: Any) -> list[str]:
    return [field for field, _ in laxer(tenant, VotePolicy(**task))]


def test_each_field_is_the_tasks_or_else_the_tenants_or_else_the_settings() -> None:
    default = VotePolicy(threshold=0.7, rounds=1, deadline_seconds=60)
    policy = merged(default, VotePolicy(deadline_seconds=90), VotePolicy(veto=False))
    assert (policy.threshold, policy.rounds, policy.deadline_seconds, policy.veto) == (0.7, 1, 90, False)


def test_what_is_left_out_stays_left_out_when_it_is_stored_and_read() -> None:
    stored = VotePolicy(threshold=0.8).model_dump_json()
    assert json.loads(stored) == {"threshold": 0.8}
    assert VotePolicy.model_validate_json(stored).model_fields_set == {"threshold"}
    assert set(json.loads(merged(OURS, None, OURS).model_dump_json())) == set(VotePolicy.model_fields)


LAXER: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"threshold": 0.7}, {"threshold": 0.6}),
    ({"reject_threshold": 0.5}, {"reject_threshold": 0.6}),
    ({"quorum": 3}, {"quorum": 2}),
    ({"quorum": 3}, {"quorum": None}),
    ({"veto": True}, {"veto": False}),
    ({"rounds": 1}, {"rounds": 2}),
    ({"deadline_seconds": 600}, {"deadline_seconds": 10}),
    ({"decide_within_seconds": 600}, {"decide_within_seconds": 601}),
    ({"voters": {"security": 5000, "tester": 5000}}, {"voters": {"tester": 10000}}),
    ({"guards": {"secrets": "on"}}, {"guards": {"secrets": "off"}}),
    ({"guards": {"lint": {"E501": "medium"}}}, {"guards": {"lint": {"E501": "low"}}}),
    ({"guards": {"lint": "on"}}, {"guards": {"lint": {"E501": "off"}}}),
]


@pytest.mark.parametrize(("tenant", "task"), LAXER)
def test_a_task_is_never_laxer_than_its_tenant(tenant: dict[str, Any], task: dict[str, Any]) -> None:
    (name,) = tenant
    theirs = VotePolicy(**tenant)
    assert [field.split(".")[0] for field in fields(theirs, **task)] == [name]
    assert getattr(merged(OURS, theirs, VotePolicy(**task)), name) == tenant[name]


@pytest.mark.parametrize(("task", "tenant"), LAXER[:8] + LAXER[9:11])
def test_a_task_may_be_stricter_than_its_tenant(tenant: dict[str, Any], task: dict[str, Any]) -> None:
    (name,) = task
    theirs = VotePolicy(**tenant)
    assert fields(theirs, **task) == []
    assert getattr(merged(OURS, theirs, VotePolicy(**task)), name) == task[name]


def test_rules_of_a_guard_that_only_one_of_them_names_are_all_kept() -> None:
    theirs, ours = VotePolicy(guards={"lint": {"E501": "low"}}), VotePolicy(guards={"lint": {"F401": "high"}})
    assert laxer(theirs, ours) == []
    assert merged(OURS, theirs, ours).guards == {"lint": {"E501": "low", "F401": "high"}}


def test_as_many_rules_as_both_may_name_are_merged() -> None:
    theirs, ours = (VotePolicy(guards={"lint": {f"{who}{n}": "high" for n in range(MOST_RULES)}}) for who in "AB")
    guard = merged(OURS, theirs, ours).guards["lint"]
    assert len(guard) == 2 * MOST_RULES


def test_voters_who_cannot_meet_the_tenants_quorum_are_told_and_do_not_vote() -> None:
    theirs, ours = VotePolicy(quorum=3), VotePolicy(voters={"tester": 10_000})
    assert laxer(theirs, ours) == [("voters", "are too few for the quorum of 3 of the tenant's policy")]
    assert merged(OURS, theirs, ours).voters == OURS.voters


def test_voters_without_security_do_not_take_away_the_tenants_veto() -> None:
    theirs = VotePolicy(veto=True)
    without: tuple[dict[Voter, int], ...] = ({"tester": 10_000}, {"tester": 9_999, "security": 0})
    for voters in without:
        assert fields(theirs, voters=voters) == ["voters"]
        assert merged(OURS, theirs, VotePolicy(voters=voters)).voters == OURS.voters
        assert fields(VotePolicy(veto=False), voters=voters) == fields(VotePolicy(), voters=voters) == []


def test_a_task_may_switch_on_again_what_its_tenant_has_off() -> None:
    theirs = VotePolicy(guards={"lint": {"E501": "off", "F401": "high"}})
    assert merged(OURS, theirs, VotePolicy(guards={"lint": "on"})).guards == {"lint": {"F401": "high"}}


def test_thresholds_that_together_let_both_sides_win_are_raised() -> None:
    assert merged(OURS, VotePolicy(reject_threshold=0.45), VotePolicy(threshold=0.55)).threshold == 0.56


POLICIES: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    threshold=st.sampled_from([0.55, 0.6, 0.9, 1.0]),
    reject_threshold=st.sampled_from([0.5, 0.7, 0.9]),
    quorum=st.sampled_from([None, 1, 4]),
    voters=st.sampled_from([{"security": 10_000}, OURS.voters]),
    veto=st.booleans(),
).flatmap(lambda whole: st.sets(st.sampled_from(sorted(whole))).map(lambda names: {n: whole[n] for n in names}))


def valid(policy: dict[str, Any]) -> bool:
    return not (len(policy.get("voters", OURS.voters)) == 1 and policy.get("quorum") == 4)


@given(st.tuples(*[POLICIES.filter(valid)] * 3))
def test_any_three_policies_make_one_that_is_not_laxer_than_the_tenants(three: tuple[dict[str, Any], ...]) -> None:
    default, tenant, task = (VotePolicy(**policy) for policy in three)
    made = merged(default, tenant, task)
    if (tenant.quorum or 0) > len(made.voters):  # of voters that it left to others: then all of them must vote
        assert made.quorum == len(made.voters)
        tenant = VotePolicy(**{**tenant.model_dump(exclude_unset=True), "quorum": made.quorum})
    assert laxer(tenant, made) == []


def test_a_quorum_that_the_voters_of_the_default_cannot_meet_asks_for_all_of_them() -> None:
    alone = VotePolicy(voters={"security": 10_000})
    assert merged(alone, VotePolicy(quorum=4), VotePolicy()).quorum == 1


def test_the_default_is_text_or_a_file_and_what_is_wrong_with_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("quorum: 3\nguards: {secrets: on}\n")
    assert default_policy(Settings(policy='{"threshold": 0.9}')).threshold == 0.9
    assert default_policy(Settings(policy=str(path))).quorum == 3
    for wrong, named in {"{quorum: 9}": "quorum", "{threshold: 0.2}": "threshold", "nowhere.yaml": "file"}.items():
        with pytest.raises(SettingsError, match=named):
            default_policy(Settings(policy=wrong))
