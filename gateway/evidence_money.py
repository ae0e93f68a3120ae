"""Whether the charges of a bundle add up: calls, entries, accounts, and what the result says."""

from collections import defaultdict

from schema.evidence import Bundle, CallFact, EntryFact

COLUMNS = ("held_tokens", "spent_tokens", "held_micro_usd", "spent_micro_usd")
ENDS = {"settle", "uncertain", "release", "expire"}


def ledger(bundle: Bundle) -> list[str]:
    """The task's account is the sum of its entries, each call is charged once, and the result says the same."""
    body = bundle.body
    task = body.task
    faults = []
    ids = [entry.id for entry in body.ledger]
    if ids != sorted(set(ids)):
        faults.append("entries are there twice, or not in their order")
    for name in COLUMNS:
        total = sum(getattr(entry, name) for entry in body.ledger if entry.account == "task")
        if total != getattr(task, name):
            faults.append(f"the task has {name} {getattr(task, name):,}, its entries come to {total:,}")
    for unit in ("tokens", "micro_usd"):
        total = sum(getattr(entry, f"spent_{unit}") for entry in body.ledger if entry.account == "tenant")
        if not total == getattr(task, f"charged_{unit}") == getattr(task, f"spent_{unit}"):
            faults.append(f"of {unit} the tenant was charged another amount than the task spent")
    held = sum(entry.held_tokens for entry in body.ledger if entry.account == "tenant")
    if held or task.held_tokens or task.held_micro_usd:
        faults.append("the task has ended and still holds something")
    return faults + _calls(body.calls, body.ledger) + _told(bundle)


def _calls(calls: tuple[CallFact, ...], entries: tuple[EntryFact, ...]) -> list[str]:
    """Each call is reserved, sent and ended once, and is charged what it used."""
    by_call: defaultdict[tuple[str, int, int, int], list[EntryFact]] = defaultdict(list)
    for entry in entries:
        if entry.account == "task":
            by_call[entry.step, entry.epoch, entry.ask, entry.dispatch].append(entry)
    faults = [f"a charge is of no call: {key[0]}" for key in set(by_call) - {_key(call) for call in calls}]
    for call in calls:
        own = by_call[_key(call)]
        kinds = [entry.kind for entry in own]
        if kinds.count("reserve") != 1 or kinds.count("sent") != 1 or sum(kind in ENDS for kind in kinds) != 1:
            faults.append(f"the call of {call.step} is not reserved, sent and ended once")
        if len(kinds) != len(set(kinds)):
            faults.append(f"the call of {call.step} is charged twice")
        if sum(entry.held_tokens for entry in own if entry.kind == "reserve") != call.reserved_tokens:
            faults.append(f"the call of {call.step} reserved another amount")
        if sum(entry.spent_tokens for entry in own) != _used(call):
            faults.append(f"the call of {call.step} used {_used(call):,} tokens and is charged another amount")
        if sum(entry.spent_micro_usd for entry in own) != _cost(call):
            faults.append(f"the call of {call.step} cost {_cost(call):,} micro-dollars and is charged another amount")
    return faults


def _key(call: CallFact) -> tuple[str, int, int, int]:
    return call.step, call.epoch, call.ask, call.dispatch


def _used(call: CallFact) -> int:
    if call.state == "uncertain":
        return call.reserved_tokens
    return (call.input_tokens or 0) + (call.output_tokens or 0)


def _cost(call: CallFact) -> int:
    return (call.reserved_micro_usd if call.state == "uncertain" else call.micro_usd) or 0


def _told(bundle: Bundle) -> list[str]:
    """The tokens and the cost of the result are those of the calls."""
    verdict = bundle.body.verdict
    if verdict is None:
        return []
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for call in bundle.body.calls:
        sums[call.role][0] += call.reserved_tokens if call.state == "uncertain" else call.input_tokens or 0
        sums[call.role][1] += call.output_tokens or 0
    told = {role: [tokens.input, tokens.output] for role, tokens in verdict.tokens.items()}
    faults = [] if told == dict(sums) else ["the result's tokens are not those of its calls"]
    if verdict.micro_usd is not None and verdict.micro_usd != bundle.body.task.spent_micro_usd:
        faults.append("the result's cost is not what the task spent")
    return faults
