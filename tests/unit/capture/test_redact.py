"""Secrets never reach the disk; what is no secret stays readable; what was taken out can be put back."""
# ruff: noqa: ISC003 - examples of tokens are put together below

from __future__ import annotations

import base64
import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reenact.capture.redact import MARKER, MINIMUM_LENGTH, Redactor, labels

KEY = b"0123456789abcdef0123456789abcdef"

# Examples are put together here so that no scanner takes them for real ones.
GITHUB = "gh" + "p_" + "A1b2" * 9
GITLAB = "gl" + "pat-" + "x9Y8" * 5
SLACK = "xo" + "xb-" + "1234567890-abcdefghij"
AWS_ID = "AK" + "IA" + "ABCDEFGH2345ABCD"
JWT = "ey" + "JhbGciOiJIUzI1NiJ9" + ".ey" + "JzdWIiOiIxMjM0In0" + ".c2lnbmF0dXJl"
PEM = (
    "-----BEGIN PRIV"
    + "ATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\nAASCBKcwggSjAgEAAoIBAQC7VJT\n-----END PRIV"
    + "ATE KEY-----"
)


def outside(text: str) -> list[str]:
    """Give what a text says apart from its markers."""
    return re.split(r"‹redacted:[^›]*›", text)


def learned(environment: dict[str, str], *argv: str) -> Redactor:
    redactor = Redactor(KEY)
    redactor.learn(environment, argv)
    return redactor


@pytest.mark.parametrize(
    "name",
    [
        "PASSWORD",
        "PGPASSWORD",
        "DB_PASSWD",
        "dbPassword",
        "MYSQL_PWD",
        "CLIENT_SECRET",
        "API_KEY",
        "apikey",
        "X-Api-Key",
        "AWS_SECRET_ACCESS_KEY",
        "AZURE_STORAGE_ACCOUNT_KEY",
        "PRIVATE_KEY",
        "GITHUB_TOKEN",
        "GOOGLE_CREDENTIALS",
        "VAULT_SECRET_ID",
        "SSH_PASSPHRASE",
    ],
)
def test_a_variable_with_a_secret_name_is_not_kept(name: str) -> None:
    kept, redacted = Redactor(KEY).variables({name: "blue horse"})
    assert kept == {}
    assert redacted == {name: Redactor(KEY).fingerprint("blue horse")}


@pytest.mark.parametrize("name", ["SESSION", "APP_AUTH", "COOKIE", "SENTRY_DSN", "MAIL_PASS"])
def test_a_weak_name_counts_only_for_a_value_drawn_by_a_machine(name: str) -> None:
    redactor = Redactor(KEY)
    assert redactor.variables({name: "k3x9-77ab-aa1!"})[1].keys() == {name}
    for plain in (
        "ubuntu",
        "basic",
        "2026-01-31",
        "/run/x/y1.sock",
        "data-2024.csv",
        "https://db.example/x1",
        "12345678",
    ):
        assert redactor.variables({name: plain}) == ({name: plain}, {})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PATH", "/usr/bin:/bin"),
        ("PWD", "/home/a/project"),
        ("OLDPWD", "/home/a"),
        ("SSH_AUTH_SOCK", "/tmp/ssh-a/agent.1"),
        ("XAUTHORITY", "/home/a/.Xauthority"),
        ("XDG_SESSION_ID", "c12345678"),
        ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/1000/bus,guid=0a1b2c"),
        ("TERM_SESSION_ID", "w0t0p0:1A2B3C4D"),
        ("GIT_ASKPASS", "/usr/bin/askpass"),
        ("TOKENIZERS_PARALLELISM", "false"),
        ("DB_PASSWORD_FILE", "/run/secrets/db"),
        ("TOKEN_URL", "https://id.example/oauth"),
        ("MAX_TOKENS", "4096"),
        ("MAX_TOKEN", "4096"),
        ("PASSWORD_COLUMN", "customer_pw"),
        ("SORT_KEY", "customer_id"),
        ("SSH_PUBLIC_KEY", "ssh-ed25519 AAAAC3NzaC1lZDI1"),
        ("USE_TOKEN", "sometimes"),
        ("PASSWORD", ""),
        ("SECRET", "false"),
        ("_", "/usr/bin/env"),
        ("SHLVL", "2"),
    ],
)
def test_a_variable_that_only_sounds_secret_is_kept_whole(name: str, value: str) -> None:
    assert Redactor(KEY).variables({name: value}) == ({name: value}, {})


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"token {GITHUB} end", GITHUB),
        (f"x{GITLAB}", None),
        (f" {GITLAB}", GITLAB),
        (f"url={SLACK}", SLACK),
        (f"id {AWS_ID}.", AWS_ID),
        (f"jwt:{JWT}", JWT),
        ("postgresql://etl:pl4in@db.example:5432/x", "pl4in"),
        ("postgresql://etl:p@ssw0rd@db.example/x", "p@ssw0rd"),
        ("postgresql://etl:p/w0rd@db.example/x", "p/w0rd"),
        ("redis://:only@cache.example:6379", "only"),
        ("jdbc:oracle:thin:scott/tiger1@db.example:1521", "tiger1"),
        ("jdbc:postgresql://db.example/x?user=a&password=s3kr1t&ssl=true", "s3kr1t"),
        ("Server=db;Uid=a;Pwd=s3kr1t;", "s3kr1t"),
        ("host=db password=s3kr1t user=a", "s3kr1t"),
        ("Authorization: Basic YWxhZGRpbjpvcGVu", "YWxhZGRpbjpvcGVu"),
        ("authorization: Token abcdefgh", "abcdefgh"),
        ("sent Bearer abc.def-123", "abc.def-123"),
        ("X-Api-Key: k-123", "k-123"),
        ("Cookie: sid=31d4d96e; theme=dark", "sid=31d4d96e; theme=dark"),
        ('{"user": "a", "password": "q\\"x", "n": 1}', 'q\\"x'),
        ("password: hunter2", "hunter2"),
        ("//npm.example/:_authToken=abc123", "abc123"),
        ("export API_TOKEN='a b c'", "a b c"),
    ],
)
def test_a_secret_is_found_by_its_form(text: str, secret: str | None) -> None:
    after = Redactor(KEY).text(text)
    if secret is None:
        assert after == text
    else:
        assert labels(after) != ()
        assert MARKER.sub(lambda _: secret, after) == text


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost:8080/a@b",
        "see http://a.example:80 and write to x@y.example",
        "git@github.example:team/repo.git",
        "s3://bucket/token=eu/part-0.parquet",
        "def login(user, token: str, password=None): return token",
        "connect(password=pw, api_key=os.environ['K'])",
        'curl -H "Authorization: Bearer $TOKEN"',
        "TOKEN=$(cat /run/token) make",
        "token = read()",
        "max_tokens=4096 sort_key=id",
        "a bearer of news",
        "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----",
        "session=2024-01-01/auth=eu/x.csv",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Redactor(KEY).text(text) == text


def test_a_key_block_goes_whole_also_when_it_was_cut_off_or_indented() -> None:
    redactor = Redactor(KEY)
    for text in (PEM, PEM[:70], f"log: {PEM} tail"):
        assert "MIIEvQIBADAN" not in redactor.text(text)
    redactor.learn({"TLS_PRIVATE_KEY": PEM})
    indented = "\n".join(f"  | {line}" for line in PEM.splitlines())
    assert not [line for line in PEM.splitlines()[1:-1] if line in redactor.text(indented)]


@pytest.mark.parametrize(
    ("argv", "secrets"),
    [
        (["etl", "--password", "ab", "in.csv"], {2: "ab"}),
        (["etl", "--password=ab", "in.csv"], {1: "ab"}),
        (["etl", "--api-key=ab"], {1: "ab"}),
        (["java", "-Djavax.net.ssl.keyStorePassword=ab", "A"], {1: "ab"}),
        (["env", "PGPASSWORD=a b", "psql"], {1: "a b"}),
        (["docker", "run", "-e", "TOKEN=a$b", "x"], {3: "a$b"}),
        (["curl", "-u", "me:ab", "https://x.example"], {2: "ab"}),
        (["curl", "-ume:ab", "https://x.example"], {1: "ab"}),
        (["sudo", "/usr/bin/curl", "--user=me:ab"], {2: "ab"}),
        (["curl", "-H", "Authorization: Bearer ab"], {2: "ab"}),
        (["mysql", "-pab", "shop"], {1: "ab"}),
        (["sshpass", "-p", "ab", "ssh", "h"], {2: "ab"}),
        (["docker", "login", "-u", "me", "-p", "ab"], {5: "ab"}),
        (["openssl", "enc", "-pass", "pass:ab"], {3: "ab"}),
        (["smbclient", "-U", "me%ab"], {2: "ab"}),
    ],
)
def test_a_secret_is_found_by_its_option(argv: list[str], secrets: dict[int, str]) -> None:
    after = Redactor(KEY).argv(argv)
    for i, word in enumerate(after):
        assert MARKER.sub(secrets.get(i, ""), word) == argv[i]
    assert {i for i, word in enumerate(after) if labels(word)} == {i for i, s in secrets.items() if s}


@pytest.mark.parametrize(
    "argv",
    [
        ["etl", "--password-file", "/run/x", "--token-url=https://x.example"],
        ["etl", "--no-password", "in.csv"],
        ["etl", "--ask-password", "in.csv"],
        ["etl", "--password", "--verbose"],
        ["docker", "run", "-p", "80:80", "x"],
        ["mysql", "-p", "shop"],
        ["curl", "-b", "cookies.txt", "-u", "me"],
        ["python", "-c", "token=read(); use(token)"],
        ["etl", "session=2024", "auth=basic", "key=customer"],
        ["bash", "-c", "PGPASSWORD=$PW psql --token $T -u $X"],
    ],
)
def test_a_command_line_without_secrets_stays(argv: list[str]) -> None:
    assert Redactor(KEY).argv(argv) == tuple(argv)


def test_a_secret_inside_a_shell_command_is_found() -> None:
    script = "set -e; PGPASSWORD=ab psql; curl -u me:cd https://x.example; etl --token 'e f' in.csv"
    (_, _, after) = Redactor(KEY).argv(["bash", "-ec", script])
    assert [label for label in labels(after) if label == "curl-password"]
    assert not {"ab", "cd", "e f"} & {
        word for part in outside(after) for word in re.findall(r"=(\w+)|:(\w+)|'(.*)'", part)
    }
    assert "PGPASSWORD=‹" in after
    assert "--token '‹" in after
    assert "me:‹" in after


def test_a_learned_value_is_replaced_wherever_and_however_it_is_written() -> None:
    secret = "p w/ü&1"
    redactor = learned({"PASSWORD": secret})
    forms = [secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode(), "p w/\\u00fc&1"]
    for form in forms:
        after = redactor.text(f"<<{form}>>")
        assert outside(after) == ["<<", ">>"], form
        assert redactor.restore(after, {"ANY": secret}) == f"<<{form}>>"


def test_a_short_value_is_replaced_only_where_it_is_shown() -> None:
    redactor = learned({"PASSWORD": "root"}, "etl", "--password", "test")
    assert redactor.text("/root/test") == "/root/test"
    assert redactor.argv(["etl", "--password", "test", "/root/test"])[3] == "/root/test"
    assert redactor.argv(["etl", "--password", "test"])[2] != "test"


def test_equal_values_have_equal_markers_whatever_named_them() -> None:
    redactor = learned({"B_TOKEN": "same-value", "A_TOKEN": "same-value"})
    assert labels(redactor.text("same-value same-value")) == ("A_TOKEN", "A_TOKEN")
    assert redactor.parameters({"token": "same-value"})["token"] == redactor.text("same-value")


def test_learning_more_does_not_change_a_marker() -> None:
    redactor = learned({"B_TOKEN": "same-value"})
    before = redactor.text("same-value")
    redactor.learn({"A_TOKEN": "same-value"})
    assert redactor.text("same-value") == before


def test_only_the_secret_part_of_a_url_goes() -> None:
    environment = {"DATABASE_URL": "postgresql://etl:s3kr1tpw@db.example/x"}
    redactor = learned(environment)
    kept, redacted = redactor.variables(environment)
    assert redacted == {}
    assert outside(kept["DATABASE_URL"]) == ["postgresql://etl:", "@db.example/x"]
    assert redactor.restore(kept["DATABASE_URL"], environment) == environment["DATABASE_URL"]
    assert "s3kr1tpw" not in redactor.text("cannot log in with s3kr1tpw")


def test_patterns_add_names_and_allow_takes_them_away() -> None:
    redactor = Redactor(KEY, patterns=["my_*_code"], allow=["Shared_Token", "url"])
    environment = {"MY_DOOR_CODE": "12", "SHARED_TOKEN": "abcdefgh", "URL": "http://a:bc@x.example"}
    redactor.learn(environment)
    kept, redacted = redactor.variables(environment)
    assert redacted.keys() == {"MY_DOOR_CODE"}
    assert kept == {"SHARED_TOKEN": "abcdefgh", "URL": "http://a:bc@x.example"}
    assert redactor.argv(["etl", "--shared-token", "abcdefgh"])[2] == "abcdefgh"
    assert redactor.argv(["etl", "--other-token", "abcdefgh"])[2] != "abcdefgh"
    assert labels(redactor.argv(["etl", "--my-door-code", "12", "MY_DOOR_CODE=34"])[2]) == ("my-door-code",)
    assert labels(redactor.argv(["etl", "--my-door-code", "12", "MY_DOOR_CODE=34"])[3]) == ("MY_DOOR_CODE",)
    assert redactor.argv(["etl", "SHARED_TOKEN=abcdefgh"])[1] == "SHARED_TOKEN=abcdefgh"


def test_an_allowed_variable_still_loses_what_another_one_made_secret() -> None:
    redactor = Redactor(KEY, allow=["NOTE"])
    environment = {"NOTE": "it is s3kr1tpw", "PASSWORD": "s3kr1tpw"}
    redactor.learn(environment)
    assert outside(redactor.variables(environment)[0]["NOTE"]) == ["it is ", ""]


def test_restore_tells_when_a_secret_is_not_at_hand_or_differs() -> None:
    redactor = learned({"TOKEN": "right-value"})
    marked = redactor.text("use right-value now")
    assert redactor.restore(marked, {"X": "right-value"}) == "use right-value now"
    assert redactor.restore(marked, {"TOKEN": "wrong-value"}) is None
    assert redactor.restore(marked, {}) is None
    assert redactor.restore("no marker", {}) == "no marker"
    assert Redactor(b"another key").restore(marked, {"TOKEN": "right-value"}) is None


def test_the_fingerprint_is_keyed() -> None:
    one, other = Redactor(KEY), Redactor(b"other")
    assert re.fullmatch(r"hmac-sha256:[0-9a-f]{64}", one.fingerprint("x"))
    assert one.fingerprint("x") != other.fingerprint("x")
    assert one.fingerprint("x") != one.fingerprint("y")


def test_bytes_that_are_no_text_come_through() -> None:
    redactor = learned({"TOKEN": "abcdef"})
    assert redactor.data(b"\xff\x00\xfe") == b"\xff\x00\xfe"
    after = redactor.data(b"\xffabcdef\xfe")
    assert after.startswith(b"\xff")
    assert after.endswith(b"\xfe")
    assert b"abcdef" not in after


SECRETS = st.text(min_size=MINIMUM_LENGTH, max_size=20)
PIECES = st.lists(
    st.one_of(st.text(max_size=12), st.sampled_from(["password=", "://a:", "@", "Bearer ", "'", "‹redacted:"])),
    max_size=6,
)


@given(secrets=st.lists(SECRETS, min_size=1, max_size=4), pieces=PIECES, data=st.data())
def test_no_learned_value_remains_and_twice_is_once(secrets: list[str], pieces: list[str], data: st.DataObject) -> None:
    """Redacting is idempotent, and no learned secret value of allowed length remains in any output."""
    redactor = learned({f"S{i}_TOKEN": secret for i, secret in enumerate(secrets)})
    known = [s for s in secrets if s.strip().lower() not in {"", "false"} and not MARKER.search(s)]
    text = "".join(data.draw(st.permutations([*pieces, *secrets])))
    words = [*pieces, *secrets, text]
    outputs = [redactor.text(text), *redactor.argv(words), *redactor.parameters({"p": text}).values()]
    outputs += [
        *redactor.variables({"V": text})[0].values(),
        redactor.data(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape"),
    ]
    for output in outputs:
        assert not [s for s in known for part in outside(output) if s in part]
        assert redactor.text(output) == output
    assert redactor.argv(redactor.argv(words)) == redactor.argv(words)
    assert redactor.variables(redactor.variables({"V": text})[0])[0] == redactor.variables({"V": text})[0]


@given(text=st.text(max_size=60))
def test_restoring_gives_back_what_was_redacted(text: str) -> None:
    redactor = learned({"TOKEN": "abc-def"})
    marked = redactor.text(f"{text}abc-def{text}")
    if not labels(text) and set(labels(marked)) == {"TOKEN"}:
        assert redactor.restore(marked, {"TOKEN": "abc-def"}) == f"{text}abc-def{text}"
