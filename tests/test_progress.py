"""What a job shows of itself, from its counters alone."""

import pytest

from chalicelib import jobs, keys, progress


def job(status="running", **more):
    return {
        "id": "j",
        "status": status,
        "types": ["tickets"],
        "origins": {"tickets": "conversations"},
        "dry_run": False,
        "tickets_planned": 100,
        **more,
    }


@pytest.mark.parametrize(
    ("counters", "percent"),
    [
        ({}, 0),
        ({"tickets_extracted": 100}, 25),
        ({"tickets_extracted": 100, "tickets_decided": 100}, 50),
        ({"tickets_extracted": 100, "tickets_decided": 100, "tickets_created": 50}, 75),
        ({"tickets_extracted": 100, "tickets_decided": 100, "tickets_skipped": 100}, 99),
        ({"dry_run": True, "tickets_extracted": 100, "tickets_created": 50}, 75),
        ({"tickets_extracted": 100, "tickets_decided": 100, "tickets_failed": 25, "tickets_unprocessed": 25}, 75),
    ],
)
def test_percentage_rises_with_every_step_and_is_whole_only_at_the_end(counters, percent):
    assert progress.percentage(job(**counters)) == percent


def test_an_empty_source_is_done_when_the_job_is():
    assert progress.percentage(job("completed", tickets_planned=0)) == 100
    assert progress.percentage(job("completed_with_errors")) == 100
    assert progress.percentage(job(tickets_planned=0)) == 0


@pytest.mark.accepts("SV-137")
@pytest.mark.parametrize(
    ("found", "text"),
    [
        (job(types=[]), progress.STARTING),
        (job(), "Processing conversations → tickets"),
        (job(tickets_created=60, tickets_failed=39), "Processing conversations → tickets"),
        (job(types=["agents", "tickets"], agents_planned=5, agents_skipped=5), "Processing conversations → tickets"),
        (job(types=["agents", "tickets"]), "Processing conversations → tickets"),  # there are no agents
        (job(tickets_created=60, tickets_failed=40), progress.FINISHING),
        (job("cancelling"), "Cancelling…"),
        (job("failing"), "Stopping after an error…"),
        (job(waiting_for="other"), "Waiting for job other, which is writing the same kind of records"),
    ],
)
def test_operation(found, text):
    assert progress.operation(found) == text


def test_the_total_is_a_number_before_the_source_is_counted():
    begun = job(number=1, profile={}, options={}, mode_config={}, errors=[], created_by={}, created_at=0, types=[])
    assert progress.show(begun)["estimated_total"] == 0


def test_every_state_has_a_word_of_the_reference():
    states = {*jobs.LEGAL, *(state for moves in jobs.LEGAL.values() for state in moves)}
    shown = {jobs.shown_status({"status": state}) for state in states}
    assert shown == {"running", "completed", "failed", "cancelled"}


def test_final_states_lead_nowhere_and_every_state_leads_to_one():
    def ends(state):
        return state not in jobs.LEGAL or all(ends(after) for after in jobs.LEGAL[state])

    assert all(ends(state) for state in jobs.LEGAL)


def test_job_ids_sort_by_time():
    ids = [keys.mint_id(now) for now in (1_700_000_000, 1_700_000_001, 1_800_000_000)]
    assert ids == sorted(ids)
    assert all(one[14] == "7" and one[19] in "89ab" for one in ids)
    assert len({keys.mint_id(1_700_000_000) for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("mode", "on_match", "on_key", "on_new"),
    [
        ({}, "update", "update", "create"),
        ({"import_mode": "create"}, "skip", "skip", "create"),
        ({"import_mode": "update"}, "update", "update", "skip"),
        ({"skip_duplicates": True, "update_duplicates": True}, "skip", "skip", "create"),
        ({"update_duplicates": False}, "skip", "skip", "create"),
        ({"duplicate_detection": {"enabled": False}}, "update", "fail", "create"),
        ({"duplicate_detection": {"primary_fields": ["external_id"]}}, "update", "fail", "create"),
    ],
)
def test_every_vocabulary_becomes_one_policy(mode, on_match, on_key, on_new):
    assert jobs.policy(mode) == {"on_match": on_match, "on_key": on_key, "on_new": on_new}


def test_a_job_ends_well_only_after_it_ran():
    """`completed` out of `pending` or while letting go would count rows nobody has written."""
    assert {state for state, moves in jobs.LEGAL.items() if "completed" in moves} == {"running"}
    assert jobs.LEGAL["cancelling"] == {"cancelled"}
    assert jobs.LEGAL["failing"] == {"failed"}
