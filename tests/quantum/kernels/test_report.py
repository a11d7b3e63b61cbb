from shoal.quantum import KernelReport


def test_a_report_tells_what_was_done():
    report = KernelReport(
        "mps",
        "it was asked for",
        "9 gates",
        n_qubits=5,
        shape=(4, 3),
        dtype="complex64",
        states=7,
        tiles=1,
        from_checkpoint=2,
        tile_edge=128,
        seconds={"total": 0.25},
        executor="threads",
        shots=100,
        precision_error=1e-7,
        lost_weight=1e-9,
        verification="3 pairs",
    )
    text = str(report)
    for part in (
        "4 by 3, complex64",
        "mps: it was asked for",
        "7 of 5 qubits",
        "1 of up to 128 rows and columns, 2 more from the checkpoint",
        "total 0.25",
        "100 for each entry",
        "1 to 1.0e-07",
        "1.0e-09 of a state",
        "3 pairs",
    ):
        assert part in text


def test_a_report_on_pairs_tells_of_no_states():
    text = str(KernelReport("pairs", "no circuit was found", "a function", pairs=10))
    assert "pairs             10\n" in text
    assert "states" not in text
    assert "precision" not in text
