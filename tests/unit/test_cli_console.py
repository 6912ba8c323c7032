"""What the command line prints."""

import pytest

from cli.console import err, out

ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!db-0123"


def test_an_arn_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    out.print(ARN, markup=False, soft_wrap=True)
    err.print(ARN, markup=False, soft_wrap=True)
    assert [text.strip() for text in capsys.readouterr()] == [ARN, ARN], ":secret: is a word in it, and no emoji"
