from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled import masking_figures as figures
from labelled.planted_secrets import benign, planted

from detektor_pipelines import masks

# Each kind several times: no luck of one draw decides.
PLANTED = planted(seed=9, each=4)
SHAPES = {
    "kebab": "a-",
    "dots": "a.",
    "addresses": "a@b.",
    "at signs": "@",
    "slashes": "a/",
    "quotes": 'key"',
    "assignments": "a=",
    "secrets": "token=",
    "passwords": 'pass="',
    "digits": "1234567890",
    "numbers": "1 ",
    "spaces": " ",
    "lines": "\n",
    "keys begin": "-----BEGIN PRIVATE KEY-----",
    "urls": "http://a:b",
    "commands": "mysql -p ",
    "options": "--password ",
    "homes": "/home/",
    "spaced homes": "/Users/a b ",
    "colons": "ab:cd:",
    "capitals": "AB12",
    "names": "author: Aa ",
    "streets": "ul. A ",
    "kana": "日本語",
    "dotted capital i": "İ",
    "random": "k7Rq2-Zx9_pL4",
    "words for passwords": "senha",
    "words near passwords": "password abc def ",
    "elements": "<password>",
    "arguments": "define('password",
    "names of values": 'name="x_passwordx"',
    "known names": "Anna van der ",
    "owners": "-rw-r--r-- 1 a a ",
    "commands of passwords": "htpasswd -b ",
    "headers": "authorization: ",
    "recovery codes": "recovery codes: a1b2c3 ",
    "groups of a licence": "a1b2-c3d4-",
    "secrets of kubernetes": "kind: secret\ndata:\n a: b\n",
    "objects": 'credentials: {"a": 1, ',
    "fallbacks": "secret || 'a' ",
    "users and passwords": " -u a -p ",
    "addresses without a scheme": "a:b@",
    "urls and slashes": "://a:b/c",
    "names of variables": "DB_TOKEN ",
    "words of a passphrase": "passphrase is a b c ",
    "streets after a name": "adres: Aa ",
    "pairs of names": "Aa Bb ",
    "places": "lat: 1.2345, ",
    "addresses in words": "a at b dot ",
    "users of a domain": "for AB\\c",
    "backslashes": "token" + "\\" * 8,
    "blocks of yaml": "password: |\n ",
    "users spoken to": "@a can ",
    "shares": "net use a /user:",
    "capitals and dashes": "AAAAA-1AAAA-",
    "links": "https://x/invite/a",
    "tables": "password,a,b\n",
    "rows of a table": "password,a\nx,y\n",
    "columns": "(password, a) values (",
    "statements": "set a/b_",
    "statements with flags": "create -a --b c_password ",
    "calls with one argument": "token('a",
    "types": "password: a = ",
    "here strings": "passwd a <<< ",
    "values of words": "password=ab cd ",
    "said phrases": 'the password is "a b ',
    "quoted addresses": '"a"@b',
    "options of one dash": "-storepass ",
    "degrees": "12.34° ",
}


def test_credentials_and_personal_data_of_all_kinds_go() -> None:
    found = figures.of(PLANTED)
    assert found.share("credential") >= 0.97, found.left
    assert found.share("personal") >= 0.95, found.left


def test_what_only_looks_like_it_stays() -> None:
    assert [(kind, masks.mask(text)) for kind, text in benign(seed=9, each=4) if masks.mask(text) != text] == []


WRAPPINGS = (
    "{}", "x={}", 'x="{}"', "x: '{}'", "({})", "`{}`", "<{}>", "{}.", "{},", '"{}",', "a,{},b", "a|{}|b", "{}@x",
    "https://x.example/{}", "?x={}&y=1",
    '\\"{}\\"', "{}\\n", "--x {}", "- {}", "{}; ls", "is {}: it", "…{}…",
)  # fmt: skip
UNMISTAKABLE = (
    "aws access key", "github classic", "github app", "gitlab", "slack user", "stripe secret", "npm", "pypi", "openai project", "anthropic",
    "hugging face", "groq", "sendgrid", "vault", "terraform", "databricks", "age", "jwt", "airtable", "1password", "token of small letters",
    "32 random, in prose", "base64 key, in prose",
)  # fmt: skip


def test_keys_go_whatever_stands_around_them() -> None:
    keys = [each.leak for each in PLANTED if each.kind in UNMISTAKABLE]
    texts = [(key, wrapping.format(key)) for key in keys for wrapping in WRAPPINGS]
    left = [text for key, text in texts if key[-14:].rstrip("=") in masks.mask(text)]
    assert len(keys) == 4 * len(UNMISTAKABLE)
    assert len(left) <= 0.01 * len(texts), left


def test_what_is_masked_is_masked() -> None:
    for each in PLANTED:
        once = masks.mask(each.text)
        assert masks.mask(once) == once


@given(st.text())
def test_any_text_can_be_masked(text: str) -> None:
    once = masks.mask(text)
    assert text == once or "<" in once


def test_the_shared_labelled_set() -> None:
    examples = figures.shared()
    if not examples:
        pytest.skip(f"no labelled set at {figures.LABELLED} (DETEKTOR_SHARED_DATA names the data beside it)")
    found = figures.of(examples)
    assert found.share("credential") >= 0.97, found.left
    assert found.share("personal") >= 0.85, found.left


def test_lines_of_real_transcripts_stay() -> None:
    lines = figures.real_lines()
    if not lines:
        pytest.skip(f"no transcripts in {figures.DATA} (DETEKTOR_SHARED_DATA)")
    _, others = figures.changed(lines)
    assert len(others) <= 0.02 * len(lines), others


@pytest.mark.parametrize("shape", SHAPES)
def test_work_grows_with_the_length_and_no_faster(shape: str) -> None:
    part = SHAPES[shape]
    short, long = (part * (length // len(part)) for length in (8_000, 64_000))
    masks.mask(short)  # compiled
    # Eight times the text: eight times the work. Quadratic work would be sixty-four times.
    assert _processor_time(long) < 24 * _processor_time(short) + 0.05


def test_no_more_of_a_text_is_looked_at_than_could_be_kept() -> None:
    text = "x " * masks.LIMIT + "password=Tr0ub4dor3"
    said = masks.mask(text)
    assert said == "x " * (masks.LIMIT // 2) + f"… ({masks.LIMIT + 19:,} more characters)"
    assert masks.mask(text[-masks.LIMIT :]).endswith("password=<secret>")


def _processor_time(text: str) -> float:
    started = time.process_time()
    masks.mask(text)
    return time.process_time() - started


def test_rules_are_found_without_the_package_and_without_typing() -> None:
    beside = str(Path(masks.__file__).parent)
    code = f"import sys; sys.path.insert(0, {beside!r}); import masks; print(masks.mask('mail ada@example.org'), 'typing' in sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "mail <email> False\n"


@pytest.mark.parametrize(
    "name",
    [
        "tool:toolu_01AbCdEfGhIjKlMnOpQrStUv",
        "work:call_0123456789abcdefABCDEF",
        "0b4b0b7e-58a4-4a9c-9f0e-0c0ffee0c0de",
        "code-reviewer",
        "functions.Bash:1@1795000000000000",
        "agent:5f0c:a1b2c3",
        "3f2a" * 10,
        "sk-learn-experiments-2",
        "/srv/logs/session.jsonl",
        "C:\\repo\\src\\users\\index.ts",
        "src/hooks/useSomethingVeryLongNameOfHook2.ts",
        "src/users/jobs.py",
    ],
)
def test_ids_and_names_stay(name: str) -> None:
    assert masks.mask_name(name, lambda _, said: f"[{said}]") == name


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("/home/zborowska/logs/a.jsonl", "/home/[zborowska]/logs/a.jsonl"),
        (
            "/home/zborowska/.claude/projects/-home-zborowska-shop/a.jsonl",
            "/home/[zborowska]/.claude/projects/-home-[zborowska]-shop/a.jsonl",
        ),
        ("C:\\Users\\Zofia B\\a", "C:\\Users\\[Zofia B]\\a"),
        ("/scratch/users/zborowska/a", "/scratch/users/[zborowska]/a"),
        ("/home/deploy/a", "/home/[deploy]/a"),
        ("C--Users-zborowska-shop", "C--Users-[zborowska]-shop"),
        ("ada@example.org", "[ada@example.org]"),
        ("ghp_" + "a1B2" * 9, "[ghp_" + "a1B2" * 9 + "]"),
    ],
)
def test_what_is_unmistakable_goes_from_names(name: str, masked: str) -> None:
    assert masks.mask_name(name, lambda _, said: f"[{said}]") == masked


def test_the_page_says_how_many_there_are() -> None:
    page = (Path(__file__).parents[2] / "docs" / "privacy.md").read_text(encoding="utf-8")
    kinds = [each.group for each in planted(seed=9, each=1)]
    assert f"({len(set(masks._PREFIXES))} beginnings)" in page
    assert f"credentials, {kinds.count('credential')} kinds" in page
    assert f"personal data, {len(kinds) - kinds.count('credential')} kinds" in page
    assert f"only look like it, {len(benign(seed=9, each=1))} kinds" in page


@pytest.mark.parametrize("begin", ["session_", "task_", "agent_id ", "toolu_01/", "user-"])
def test_a_key_in_an_id_goes_however_the_id_begins(begin: str) -> None:
    key = "gh" + "p_" + "a1B2c3D4e5" * 4
    assert key not in masks.mask_name(f"{begin}{key}", lambda _rule, _said: "masked")
    assert masks.mask_name(f"{begin}{'a1B2c3D4e5' * 2}", lambda _rule, _said: "masked") == f"{begin}{'a1B2c3D4e5' * 2}"
