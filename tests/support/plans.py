"""A plan to judge by, of one file with two tests."""

from deploy.sandbox import judge

TEST = "def test_one():\n    pass\n"
PLAN = judge.Plan(
    arguments=(),
    test_files=("test_a.py",),
    expected=("test_a.py::test_one", "test_a.py::test_two"),
    judges={"test_a.py": TEST},
)
