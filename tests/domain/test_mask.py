"""Masking: what is secret by its look or by its name goes, in every form; what only looks like it stays (F-119)."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Callable
from functools import partial
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.domain.command import Request, parse_request
from bot.domain.mask import SHORTEST_SECRET_CHARS, Masker

# Made up of pieces: none of these ever was a token of anybody, and no scanner of sources shall think so.
DRAWN = "Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0Uv1Wx2Yz3"
HEX = "0123456789abcdef" * 4
DISCORD_ID = base64.b64encode(b"112233445566778899").decode().rstrip("=")
JWT = ".".join(
    base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (b'{"alg":"HS256"}', b'{"sub":"me"}', b"x" * 32)
)
KEY_BODY = "\n".join([base64.b64encode(bytes(range(48))).decode()] * 4 + ["Ab1C=="])


def key(kind: str = "RSA PRIVATE KEY", body: str = KEY_BODY) -> str:
    return f"-----BEGIN {kind}-----\n{body}\n-----END {kind}-----"


TOKENS = {
    "GitHub token": [f"gh{kind}_{DRAWN}" for kind in "pousr"] + [f"github_pat_{DRAWN}_{DRAWN}"],
    "GitLab token": [f"glpat-{DRAWN[:20]}", f"gldt-{DRAWN[:20]}"],
    "Slack token": [f"xox{kind}-123456789012-{DRAWN[:24]}" for kind in "abeprs"]
    + [f"xapp-1-A0-1-{HEX}", f"xwfp-{DRAWN}"],
    "Slack webhook": [f"T0AAAAAAA/B0AAAAAAA/{DRAWN[:24]}"],
    "Discord webhook": [DRAWN + DRAWN[:29]],
    "Discord token": [f"{DISCORD_ID}.Gabc1d.{DRAWN[:38]}"],
    "Telegram token": [f"1234567890:AA{DRAWN[:33]}"],
    "AWS key id": ["AKIA" + "ABCDEFGH23456723", "ASIA" + "ABCDEFGH23456723"],
    "Google key": [f"AIza{DRAWN[:35]}"],
    "Google token": [f"ya29.{DRAWN}"],
    "Google secret": [f"GOCSPX-{DRAWN[:28]}"],
    "Stripe key": [f"sk_live_{DRAWN[:24]}", f"rk_live_{DRAWN[:24]}"],
    "Stripe secret": [f"whsec_{DRAWN[:24]}"],
    "API key": [f"sk-{DRAWN}", f"sk-ant-api03-{DRAWN}", f"sk-proj-{DRAWN}"],
    "Twilio key": [f"SK{HEX[:32]}"],
    "npm token": [f"npm_{DRAWN[:36]}"],
    "PyPI token": [f"pypi-AgE{DRAWN}{DRAWN}"],
    "Hugging Face token": [f"hf_{DRAWN[:34]}"],
    "SendGrid key": [f"SG.{DRAWN[:22]}.{DRAWN}"],
    "DigitalOcean token": [f"dop_v1_{HEX}"],
    "Docker token": [f"dckr_pat_{DRAWN[:27]}"],
    "Grafana token": [f"glsa_{DRAWN[:32]}"],
    "Vault token": [f"hvs.{DRAWN[:24]}"],
    "Shopify token": [f"shpat_{HEX[:32]}"],
    "age key": [f"AGE-SECRET-KEY-1{(DRAWN + DRAWN).upper()[:58]}"],
    "JWT": [JWT],
}
BEFORE = {
    "Slack webhook": "https://hooks.slack.com/services/",
    "Discord webhook": "https://discord.com/api/webhooks/112233445566/",
}
EACH_TOKEN = [(kind, token) for kind, tokens in TOKENS.items() for token in tokens]


@pytest.mark.parametrize(
    ("kind", "token"), EACH_TOKEN, ids=[f"{kind} {number}" for number, (kind, _) in enumerate(EACH_TOKEN)]
)
def test_f119_a_token_of_well_known_shape_is_masked_wherever_it_stands(kind: str, token: str) -> None:
    token, before = token, BEFORE.get(kind, "")
    for around in ("{}", "fatal: {} is no good\n", '{{"x":"{}"}}', "a\n{}\nb", "({})", "x={}", "→{}←", "#{}#x"):
        shown = Masker().text(around.format(before + token))
        assert token not in shown
        assert shown == around.format(f"{before}‹secret: {kind}›"), around


BESIDE = [
    ("PGPASSWORD={} psql -h db", "password"),
    ("password={}", "password"),
    ("dbPassword = {}", "password"),
    ("db.password: {}\nnext: line", "password"),
    ('{{"password": "{}", "user": "x"}}', "password"),
    ('{{\\"password\\": \\"{}\\"}}', "password"),
    ("passwd='{}'", "password"),
    ("DB_PASS={}", "password"),
    ("--password {} --verbose", "password"),
    ("--password={} --verbose", "password"),
    ("--db-password '{}'", "password"),
    ("mysql -u root -p{} app", "password"),
    ("mysqldump --single-transaction -p'{}' app", "password"),
    ("sshpass -p {} ssh host", "password"),
    ("redis-cli -h x -a {} ping", "password"),
    ("curl -sS -u ann:{} https://x.example", "password"),
    ("curl --user 'ann:{}' https://x.example", "password"),
    ("docker login -u ann -p {} registry.example", "password"),
    ("openssl rsa -in k.pem -passin pass:{} -out x", "password"),
    ("postgresql://homing:{}@db.example/homing", "password"),
    ("https://ann:{}@git.example/x.git", "password"),
    ("GET /x?password={}&page=2", "password"),
    ("FOO_TOKEN={}", "token"),
    ('"accessToken": "{}",', "token"),
    ("token: {}\n", "token"),
    ("STRIPE_KEY={}", "key"),
    ("api_key = '{}'", "key"),
    ("x-api-key: {}", "key"),
    ("aws_secret_access_key = {}", "key"),
    ('"SecretAccessKey": "{}"', "key"),
    ("AccountName=x;AccountKey={};EndpointSuffix=y", "key"),
    ("client_secret={}", ""),
    ("REDISCLI_AUTH={}", ""),
    ("GOOGLE_CREDENTIALS={}", ""),
    ("<password>{}</password>", ""),
    ("Authorization: Basic {}", "authorization"),
    ("authorization: {}", "authorization"),
    ("'Authorization': 'Bearer {}'", "authorization"),
    ("sent Bearer {}", "authorization"),
]
VALUE = "wJalrXUtn1FEMIbK7MDENG"


@pytest.mark.parametrize(("line", "kind"), BESIDE, ids=[line for line, _ in BESIDE])
def test_f119_a_value_beside_a_name_of_secrets_is_masked_and_the_rest_of_the_line_is_not(line: str, kind: str) -> None:
    mark = f"‹secret: {kind}›" if kind else "‹secret›"
    assert Masker().text(line.format(VALUE)) == line.format(mark)
    assert Masker().text(f"before\n{line.format(VALUE)}\nafter") == f"before\n{line.format(mark)}\nafter"


@pytest.mark.parametrize(
    "kind", ["GitHub token", "GitLab token", "Slack token", "Stripe key", "PyPI token", "npm token"]
)
def test_f119_a_token_with_an_unmistakable_begin_is_masked_also_where_it_is_glued_to_a_word(kind: str) -> None:
    for token in TOKENS[kind]:
        assert Masker().text(f"x1{token}") == f"x1‹secret: {kind}›"


def test_a_short_or_common_password_is_masked_too_where_its_name_says_that_it_is_one() -> None:
    assert Masker().text("PASSWORD=x") == "PASSWORD=‹secret: password›"
    assert Masker().text("password: hunter2") == "password: ‹secret: password›"
    assert Masker().text('password="two words"') == 'password="‹secret: password›"'


@pytest.mark.parametrize("sign", "=:")
@pytest.mark.parametrize("length", [255, 256, 257, 258, 262, 5_000])
def test_a_long_value_is_masked_to_its_end(sign: str, length: int) -> None:
    long = ("Ab1" * length)[:length]
    for quoted in ("{}", "'{}'", '"{}"', '\\"{}\\"'):
        value = quoted.format(long)
        assert Masker().text(f"api_key{sign} {value}\nend") == f"api_key{sign} {quoted.format('‹secret: key›')}\nend"


def test_twilio_s_token_is_masked_beside_its_account_which_is_not_secret() -> None:
    account, token = f"AC{HEX[:32]}", HEX[5:37]
    assert Masker().text(f"{account}:{token}") == f"{account}:‹secret: Twilio token›"
    assert Masker().text(f"sid {account}, token {token}\n") == f"sid {account}, token ‹secret: Twilio token›\n"
    assert Masker().text(f"{account}\n{token}") == f"{account}\n{token}"


@pytest.mark.parametrize(
    "kind", ["RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY", "EC PRIVATE KEY", "PGP PRIVATE KEY BLOCK"]
)
def test_f119_a_private_key_is_masked_also_where_only_its_begin_or_its_end_is_there(kind: str) -> None:
    whole = key(kind)
    mark = "‹secret: private key›"
    begin, end = f"-----BEGIN {kind}-----", f"-----END {kind}-----"
    assert Masker().text(f"a\n{whole}\nb") == f"a\n{begin}{mark}{end}\nb"
    assert Masker().text(f"{whole}\n{whole}") == f"{begin}{mark}{end}\n{begin}{mark}{end}"
    assert Masker().text(json.dumps({"key": whole, "x": 1})) == f'{{"key": "{begin}{mark}{end}", "x": 1}}'
    assert KEY_BODY[:20] not in Masker().text(f"{begin}\n{KEY_BODY}")
    assert Masker().text(f"{begin}\n{KEY_BODY}\nis how it begins") == f"{begin}{mark}is how it begins"
    assert Masker().text(f"so it ends:\n{KEY_BODY}\n{end}\n") == f"so it ends:\n{mark}{end}\n"
    assert Masker().text(f"{begin}\n{KEY_BODY}\n{whole}") == f"{begin}{mark}{begin}{mark}{end}"
    assert Masker().text(f"{begin}\n{'a b ' * 5_000}{end}") == f"{begin}\n{'a b ' * 5_000}{end}"
    assert Masker().text(f"{begin} and {end}") == f"{begin}{mark}{end}"
    assert Masker().text(f"{begin}{end}") == f"{begin}{end}"


INNOCENT = [
    "commit da39a3ee5e6b4b0d3255bfef95601890afd80709",
    f"sha256:{HEX}",
    f"{HEX}  file.tar.gz",
    "id 550e8400-e29b-41d4-a716-446655440000",
    "etag: 33a64df551425fcc55e4d42a148795d9f25f89d4",
    "data:image/png;base64," + base64.b64encode(bytes(range(256)) * 2).decode(),
    base64.encodebytes(bytes(range(256)) * 2).decode(),
    "-----BEGIN CERTIFICATE-----\n" + KEY_BODY + "\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\n" + KEY_BODY + "\n-----END PUBLIC KEY-----",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbcdefghijklmnopqrstuvwxyz0123456789ABCDE ann@host",
    "[sudo] password for ann: ",
    "Password: ",
    "password: must be at least 8 characters",
    "Permission denied (publickey,password).",
    "SyntaxError: unexpected token: '}'",
    "token: unexpected",
    "tokens: 12345678, keys: 12345678",
    "max_tokens=4096 key=value12",
    "PWD=/home/ann/x1 OLDPWD=/srv/app2",
    "SSH_KEY=/home/ann/.ssh/id_ed25519",
    "TOKEN_URL=https://login.example/oauth2/token1",
    "PUBLIC_KEY=abcdef123456 CACHE_KEY=linux-npm-0123456789",
    "DB_PASSWORD=$DB_PASSWORD2 TOKEN=${GITHUB_TOKEN1} SECRET=$(cat /run/secret1)",
    "password=<your password> password=**** password=[redacted]",
    "password=self.password1 password=os.environ['X1'] password=getpass()",
    "monkey=banana12 compass=north1234 bypass=abcdef12 turkey: sandwich1",
    "tests pass: 120, fail: 0",
    "pass=12345678",
    "key == value12345678 and token::Kind1234567",
    "class sk-fading-circle-and-more-of-it",
    "task-1234567890-abcdefghij-1234",
    "mysql -u root -p app",
    "mkdir -p /srv/mysql && mysql --version",
    "curl -u ann https://x.example:8443/y",
    "https://x.example:8443/a@b https://$USER:$PASS1@x.example",
    "Authorization: Bearer $TOKEN1234567890123",
    "Bearer of bad news",
    "xoxo-and-then-some-words, xoxo, the team; skip_live_x; eyJust a word",
    "AKIA is what they begin with; so does AIza",
    "1.2.3 a.b.c www.example.org some.module.path.with.many.parts.that.go.on.and.on",
    f"{DRAWN[:24]}.Gabc1d.{DRAWN[:38]}",
    f"{DRAWN[:25]}.Gabc1d.{DRAWN[:38]}",
    "<password></password> <password>${x.password}</password>",
    "the secret is: hard work",
    "uptime 12:00 up 3 days, load average: 0.00",
]  # fmt: skip


@pytest.mark.parametrize("text", INNOCENT, ids=[text[:40] for text in INNOCENT])
def test_what_is_no_secret_is_left_as_it_is(text: str) -> None:
    assert Masker().text(text) == text


def test_what_looks_innocent_is_masked_where_it_is_configured() -> None:
    assert Masker([HEX]).text(f"sha256:{HEX}") == "sha256:‹secret›"


# --- configured ------------------------------------------------------------------------------------

secrets = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]), min_size=8, max_size=40
).filter(lambda text: "‹" not in text and "›" not in text)


def _in_base64(secret: str, *, shift: int) -> str:
    return base64.b64encode(b"a" * shift + secret.encode() + b"zz").decode()


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": lambda one: one,
    "in JSON": lambda one: json.dumps({"x": one}),
    "in JSON in JSON": lambda one: json.dumps(one)[1:-1],
    "in a URL": lambda one: f"https://x/?q={quote(one, safe='')}&y",
    "in a shell's quotes": shlex.quote,
    "in Python": repr,
    "in hex": lambda one: one.encode().hex(),
    **{
        f"in base64 behind {shift} bytes": partial(_in_base64, shift=shift)
        for shift in range(6)
    },
    "wrapped": lambda one: "\n".join(one[at : at + 3] for at in range(0, len(one), 3)),
    "wrapped and indented": lambda one: "\r\n    ".join(one[at : at + 3] for at in range(0, len(one), 3)),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@given(secret=secrets)
@example(secret="p@ss/w+rd='\"\\ü<&>")
def test_f119_a_configured_secret_is_masked_in_every_usual_form(form: str, secret: str) -> None:
    written = FORMS[form](secret)
    shown = Masker([secret]).text(f"before {written} after")
    assert "‹secret›" in shown
    assert secret not in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert written not in shown


def test_a_secret_that_is_too_short_is_refused_with_the_remedy_and_without_its_value() -> None:
    masker = Masker(["", "abcde", "long-enough"])
    (reason,) = masker.refused
    assert "5 characters" in reason
    assert str(SHORTEST_SECRET_CHARS) in reason
    assert "abcde" not in reason
    assert masker.text("abcdef") == "abcdef"


def test_one_secret_in_another_and_both_side_by_side_are_masked_whole() -> None:
    masker = Masker(["abcdef", "abcdefghij", "hijklmno"])
    assert masker.text("abcdefghij") == "‹secret›"
    assert masker.text("abcdefghijklmno") == "‹secret›"
    assert masker.text("abcdefabcdef") == "‹secret›‹secret›"
    assert masker.text(f"token=abcdef ghp_{DRAWN}abcdef") == "token=‹secret› ‹secret: GitHub token›"


texts = st.lists(
    st.sampled_from(
        [
            *(token for tokens in TOKENS.values() for token in tokens),
            *(line.format(VALUE) for line, _ in BESIDE),
            "‹secret›", "‹secret: GitHub token›", "‹secret", "›", "secret", "password=", "token: ", "hunter22",
            "\n", " ", "=", '"',
            key(), "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "Ab1C", "-p", "mysql ", "://a:", "@",
        ]
    )
    | st.text(max_size=5),
    max_size=8,
).map("".join)  # fmt: skip


@given(texts)
def test_what_is_masked_stays_as_it_is(text: str) -> None:
    masker = Masker(["secret", "hunter22"])
    once = masker.text(text)
    assert masker.text(once) == once


# --- requests --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"login ghp_{DRAWN}", "login ‹secret: GitHub token›"),
        ("mysql -psesame app", "mysql -p‹secret: password› app"),
        ("env PGPASSWORD=sesame psql", "env PGPASSWORD=‹secret: password› psql"),
        ("x --password 'two words' y", "x --password '‹secret: password›' y"),
        ("x --password 'a\"b' 'don'\"'\"'t'", "x --password '‹secret: password›' 'don'\"'\"'t'"),
        (
            "curl -H 'Authorization: Bearer abcdefghijklmnop1'",
            "curl -H 'Authorization: Bearer ‹secret: authorization›'",
        ),
        ("PGPASSWORD=sesame psql | tee x", "PGPASSWORD=‹secret: password› psql | tee x"),
        ("echo hunter22 > x", "echo ‹secret› > x"),
    ],
)
def test_f119_a_request_is_masked_in_all_its_parts(text: str, shown: str) -> None:
    request = parse_request(text)
    masked = Masker(["hunter22"]).request(request)
    assert masked.text == shown
    assert (masked.script is None) == (request.script is None)
    assert len(masked.argv) == len(request.argv)
    for secret in ("sesame", "hunter22", DRAWN, "two words", 'a"b', "abcdefghijklmnop1"):
        assert secret not in repr(masked)


def test_f119_a_secret_that_quotes_tear_apart_in_the_text_is_not_shown_by_it() -> None:
    request = parse_request("x 'hunter'\"22\" 'y z'")
    masked = Masker(["hunter22"]).request(request)
    assert masked.argv == ("x", "‹secret›", "y z")
    assert masked.text == "x ‹secret› 'y z'"


def test_a_secret_that_only_the_quotes_of_the_text_make_up_is_none() -> None:
    masked = Masker(["hunter22' y"]).request(parse_request("x 'hunter22' y"))
    assert (masked.argv, masked.text) == (("x", "hunter22", "y"), "x hunter22 y")


def test_a_request_without_a_secret_is_itself() -> None:
    for text in ("df -h", "echo 'a b' \"c\"", "for x in 1 2; do echo $x; done", "x --token $TOKEN", 'echo it"\'"s'):
        request = parse_request(text)
        assert Masker(["hunter22"]).request(request) == request


def test_a_script_that_is_not_its_own_text_is_masked_in_each_part() -> None:
    request = Request(text="run hunter22", argv=("/bin/sh", "-c", "echo hunter22", "hunter22"), script="echo hunter22")
    masked = Masker(["hunter22"]).request(request)
    assert (masked.text, masked.argv) == ("run ‹secret›", ("/bin/sh", "-c", "echo ‹secret›", "‹secret›"))


@pytest.mark.parametrize(
    "command",
    [
        "echo password=$(reboot)",
        "echo password=`reboot`",
        'bash -c "password=$(reboot)"',
        "password=x;reboot",
        "password=x&&reboot",
        "password=x|reboot",
        "echo 'token: (reboot)1'",
        "bash -c 'TOKEN=`reboot`'",
        "eval 'password=x;reboot'",
        "echo -----BEGIN PRIVATE KEY-----\n/usr/sbin/reboot\necho -----END PRIVATE KEY-----",
        "echo -----BEGIN PRIVATE KEY-----\nreboot\n",
        "AAAA\nreboot\necho -----END PRIVATE KEY-----",
        f"echo -----BEGIN PRIVATE KEY-----\n{'/usr' * 14}/sbin/reboot\necho -----END PRIVATE KEY-----",
        "curl https://x:$(reboot)@y",
        "echo '<password>reboot</password>'",
        "mysql -p$(reboot)",
        "mysql -p;reboot",
    ],
)
def test_f083_no_mark_hides_what_a_shell_would_start(command: str) -> None:
    masked = Masker().request(parse_request(command))
    assert "reboot" in masked.text


def test_a_private_key_in_a_command_is_masked() -> None:
    masked = Masker().request(parse_request(f"cat > k <<'X'\n{key()}\nX"))
    assert KEY_BODY[:30] not in repr(masked)
    assert "cat > k <<'X'" in masked.text


# --- its work grows with the text, not faster ---------------------------------------------------------

HOSTILE = [
    "password=", 'password="a', "token:", "token: x,", "key=", "sk-", "eyJaaaaaaaa.", "ghp_", "xoxb-a",
    "-----BEGIN PRIVATE KEY-----",
    "AAAA\n-----END PRIVATE KEY-----\n", "-----BEGIN PRIVATE KEY-----\nAAAA\n",
    "://a:b", "://",
    "AC" + "0" * 32, "aaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbb.", "mysql -p ", "mysql ", "docker login ",
    "<password>x", "</",
    "authorization:",
    "bearer ", "password=\\", "password=a&", "password = " + " " * 10, "x", "A", " ", "\n ", "‹secret", "‹secret›",
    "hunte", "curl -u a",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("chars", [131_072, pytest.param(1_048_576, marks=pytest.mark.long)])
def test_f119_hostile_text_is_masked_and_the_work_stays_bounded(piece: str, chars: int) -> None:
    """Text that is made to go wrong. Work that grew with the square of it would take hours, and the limit of a test's
    time would end it: nothing is timed here."""
    text = (piece * (chars // len(piece) + 1))[:chars]
    masker = Masker(["hunter22"])
    assert len(masker.tail(text)) <= 4 * len(text)
