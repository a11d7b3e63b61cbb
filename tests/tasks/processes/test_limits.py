"""Cores are those that affinity and the tightest cgroup around this process leave us."""

import math
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.tasks.processes import limits
from shoal.tasks.processes.limits import (
    THREAD_VARIABLES,
    _cgroup_quota,
    _room_in_cgroups,
    available_cores,
    free_memory_bytes,
    out_of_memory_kills,
    thread_environment,
)


@pytest.fixture
def cgroup(tmp_path):
    """Writes a made-up /proc/self/cgroup and its tree; gives the quota found."""
    membership, root = tmp_path / "membership", tmp_path / "cgroup"
    root.mkdir()

    def quota(lines, files):
        membership.write_text("\n".join(lines) + "\n")
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return _cgroup_quota(membership, root)

    return quota


def v1(folder, quota, period=100_000):
    return {
        f"{folder}/cpu.cfs_quota_us": f"{quota}\n",
        f"{folder}/cpu.cfs_period_us": f"{period}\n",
    }


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("max 100000\n", None),
        ("150000 100000\n", 1.5),
        ("50000 100000\n", 0.5),
        ("400000 50000\n", 8),
        ("", None),
        ("nonsense\n", None),
    ],
)
def test_the_quota_of_a_version_2_group_is_read_from_cpu_max(cgroup, text, cores):
    assert cgroup(["0::/job"], {"job/cpu.max": text}) == cores


def test_the_tightest_of_the_groups_above_counts(cgroup):
    files = {
        "a/cpu.max": "200000 100000",
        "a/b/cpu.max": "max 100000",
        "a/b/c/cpu.max": "300000 100000",
        "elsewhere/cpu.max": "1000 100000",
    }
    assert cgroup(["0::/a/b/c"], files) == 2


def test_in_a_container_the_root_of_the_tree_is_ones_own_group(cgroup):
    assert cgroup(["0::/"], {"cpu.max": "250000 100000"}) == 2.5


def test_a_path_that_the_container_cannot_see_still_finds_the_root(cgroup):
    assert cgroup(["0::/../../host/path"], {"cpu.max": "250000 100000"}) == 2.5
    assert cgroup(["0::/not/mounted/here"], {"cpu.max": "250000 100000"}) == 2.5


@pytest.mark.parametrize("controllers", ["cpu", "cpu,cpuacct", "cpuacct,cpu"])
@pytest.mark.parametrize(("quota", "cores"), [(150_000, 1.5), (-1, None), (0, None)])
def test_the_quota_of_a_version_1_group_is_read_from_its_cpu_tree(
    cgroup, controllers, quota, cores
):
    lines = ["12:memory:/other", f"4:{controllers}:/job", "1:name=systemd:/x"]
    assert cgroup(lines, v1("cpu/job", quota)) == cores


def test_version_1_groups_above_count_too(cgroup):
    files = {**v1("cpu", -1), **v1("cpu/a", 50_000), **v1("cpu/a/b", 400_000)}
    assert cgroup(["4:cpu:/a/b"], files) == 0.5


def test_of_both_versions_at_once_the_tighter_counts(cgroup):
    files = {**v1("cpu/job", 300_000), "unified/job/cpu.max": "200000 100000"}
    assert cgroup(["4:cpu,cpuacct:/job", "0::/job"], files) == 2


def test_a_controller_whose_name_only_begins_like_cpu_does_not_count(cgroup):
    assert cgroup(["4:cpuset:/job"], v1("cpu/job", 50_000)) is None


def test_a_group_path_with_colons_is_read_whole(cgroup):
    assert cgroup(["0::/a:b"], {"a:b/cpu.max": "300000 100000"}) == 3


def test_without_any_membership_there_is_no_quota(tmp_path):
    assert _cgroup_quota(tmp_path / "missing", tmp_path) is None
    (tmp_path / "empty").write_text("")
    assert _cgroup_quota(tmp_path / "empty", tmp_path) is None


@given(quota=st.none() | st.floats(0.01, 1000))
def test_available_cores_are_at_least_one_and_never_more_than_affinity_or_quota(quota):
    own, limits._own_quota = limits._own_quota, lambda: quota
    try:
        cores = available_cores()
    finally:
        limits._own_quota = own
    affinity = len(os.sched_getaffinity(0))
    assert 1 <= cores <= affinity
    if quota is not None:
        assert cores <= math.ceil(quota)
        assert cores == min(affinity, math.ceil(quota))


def test_affinity_is_respected():
    one = min(os.sched_getaffinity(0))
    program = (
        "import os, shoal; from shoal.tasks.processes import available_cores\n"
        f"os.sched_setaffinity(0, {{{one}}})\n"
        "print(available_cores())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"


def test_the_thread_environment_holds_every_library_to_the_same_number():
    environment = thread_environment(3)
    assert set(environment) == set(THREAD_VARIABLES)
    assert set(environment.values()) == {"3"}
    assert {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"} <= set(environment)


def test_kills_for_want_of_memory_are_counted_from_zero():
    assert out_of_memory_kills() >= 0


def memory_v2(folder, limit, used, cache=0):
    return {
        f"{folder}/memory.max": f"{limit}\n",
        f"{folder}/memory.current": f"{used}\n",
        f"{folder}/memory.stat": f"anon 5\ninactive_file {cache}\nactive_file 7\n",
    }


def memory_v1(folder, limit, used, cache=0):
    return {
        f"{folder}/memory.limit_in_bytes": f"{limit}\n",
        f"{folder}/memory.usage_in_bytes": f"{used}\n",
        f"{folder}/memory.stat": f"inactive_file 3\ntotal_inactive_file {cache}\n",
    }


@pytest.fixture
def room(tmp_path):
    """Writes a made-up /proc/self/cgroup and its tree; gives the bytes left in each group."""
    membership, root = tmp_path / "membership", tmp_path / "cgroup"

    def found(lines, files):
        membership.write_text("\n".join(lines) + "\n")
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return _room_in_cgroups(membership, root)

    return found


def test_in_each_group_around_the_process_its_limit_less_what_it_uses_is_free(room):
    files = {**memory_v2("a", 1000, 400), **memory_v2("a/b", 500, 450, cache=100)}
    files |= memory_v2("elsewhere", 1, 1)
    assert sorted(room(["0::/a/b"], files)) == [150, 600]


def test_groups_of_version_1_count_likewise(room):
    files = memory_v1("memory/job", 1000, 900, cache=50)
    assert room(["4:cpu:/job", "3:memory:/job"], files) == [150]
    assert room(["4:cpu:/job"], files) == []


def test_a_group_without_a_limit_or_without_sense_limits_nothing(room):
    assert room(["0::/a"], memory_v2("a", "max", 5)) == []
    assert room(["0::/b"], memory_v2("b", "much", 5)) == []
    assert room(["0::/c"], {"c/memory.max": "100\n"}) == []


def test_a_group_over_its_limit_has_nothing_left(room):
    assert room(["0::/a"], memory_v2("a", 100, 300)) == [0]


def test_free_memory_is_some_of_all_there_is():
    everything = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < free_memory_bytes() <= everything
