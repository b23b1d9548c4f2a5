"""Who may register and call: digest, replay, forged numbers, blocking, and what a registrar owes a phone."""
import re
import socket
import statistics
import subprocess
from pathlib import Path

import pytest
from clock import Clock
from pbx import Refused
from ports import free_port
from rooms import House
from sip_client import SipClient, answer_to


def test_sipp_registers_with_the_right_secret(pbx, sipp):
    secret = pbx.account("1001")
    sipp(pbx, "register", keys={"number": "1001"}, user="1001", secret=secret).join()
    assert [contact["aor"] for contact in pbx.ctl("registrations", "list", "1001")] == ["1001"]


def test_credentials_of_another_number_are_403(pbx, sipp):
    pbx.account("1001")
    secret = pbx.account("1002")
    sipp(pbx, "register_forbidden", keys={"number": "1001"}, user="1002", secret=secret).join()
    assert pbx.ctl("registrations", "list", "1001") == [] and pbx.ctl("registrations", "list", "1002") == []


@pytest.mark.parametrize("algorithm, digits", [("MD5", 32), ("SHA-256", 64)])
def test_both_digest_algorithms_are_offered_and_taken(pbx, client, algorithm, digits):
    phone = client(pbx, "1001", pbx.account("1001"), algorithm=algorithm)
    refused = phone.ask("REGISTER", "sip:pbx.test", to="sip:1001@pbx.test")
    assert refused.status == 401
    offered = [re.search(r"algorithm=([\w-]+)", value).group(1) for value in refused.all("WWW-Authenticate")]
    assert offered == ["SHA-256", "MD5"] and all('realm="pbx.test"' in value for value in refused.all("WWW-Authenticate"))
    line = phone.credentials(refused, "REGISTER", "sip:pbx.test")
    assert len(re.search(r'response="(\w+)"', line).group(1)) == digits
    accepted = phone.ask("REGISTER", "sip:pbx.test", [line], to="sip:1001@pbx.test")
    assert accepted.status == 200
    assert f"127.0.0.1:{phone.port}" in accepted.get("Contact") and "expires=" in accepted.get("Contact")


def test_a_nonce_is_good_for_each_count_once(pbx, client):
    phone = client(pbx, "1001", pbx.account("1001"))
    uri, to = "sip:pbx.test", "sip:1001@pbx.test"
    refused = phone.ask("REGISTER", uri, to=to)
    first = phone.credentials(refused, "REGISTER", uri, nc=1)
    assert phone.ask("REGISTER", uri, [first], to=to).status == 200
    assert phone.ask("REGISTER", uri, [phone.credentials(refused, "REGISTER", uri, nc=2)], to=to).status == 200
    for replayed in (first, phone.credentials(refused, "REGISTER", uri, nc=1)):
        answer = phone.ask("REGISTER", uri, [replayed], to=to)
        assert answer.status == 401 and "stale=true" in phone.challenge(answer)


def test_a_nonce_is_good_for_the_address_that_got_it(pbx, client):
    secret = pbx.account("1001")
    phone, thief = client(pbx, "1001", secret), client(pbx, "1001", secret, host="127.0.0.2")
    uri, to = "sip:pbx.test", "sip:1001@pbx.test"
    line = phone.credentials(phone.ask("REGISTER", uri, to=to), "REGISTER", uri)
    assert thief.ask("REGISTER", uri, [line], to=to).status == 401
    assert pbx.ctl("registrations", "list", "1001") == []


def test_an_invite_without_credentials_reaches_nobody(pbx, client):
    callee = client(pbx, "1002", pbx.account("1002"))
    pbx.account("1001")
    assert callee.register().status == 200
    stranger = client(pbx, "1001", host="127.0.0.2")
    refused = stranger.ask("INVITE", "sip:1002@pbx.test")
    assert refused.status == 407 and stranger.challenge(refused)
    assert callee.receive(lambda message: message.method == "INVITE", seconds=1) is None
    assert pbx.events("call.*") == []


def test_a_caller_cannot_say_it_is_somebody_else(pbx, client):
    callee = client(pbx, "1002", pbx.account("1002"))
    pbx.account("1003")
    assert callee.register().status == 200
    caller = client(pbx, "1003", pbx.account("1001"), user="1001")
    assert caller.invite("1002").status == 403
    assert callee.receive(lambda message: message.method == "INVITE", seconds=1) is None


@pytest.mark.parametrize("number", ["1001", "1999"])
def test_a_wrong_secret_and_an_unknown_number_get_the_same_answers(pbx, client, number):
    pbx.account("1001")
    phone = client(pbx, number, "not the secret")
    answer = phone.register()
    assert answer.status == 401 and "stale" not in phone.challenge(answer)


def fail(*guessers):
    """Five wrong passwords of each, and what the sixth gets."""
    for guesser in guessers:
        assert [guesser.register().status for _ in range(5)] == [401] * 5
        assert guesser.register().status == 403


def test_five_failures_block_the_user_and_five_users_the_address(make_pbx, client):
    pbx = make_pbx("sip:\n  auth_block_s: 900")
    secret = pbx.account("1001")
    other_secret = pbx.account("1002")
    fail(client(pbx, "1001", "guess", host="127.0.0.2"))
    assert client(pbx, "1001", secret, host="127.0.0.2").register().status == 403, "the right one comes too late"
    assert client(pbx, "1001", secret, host="127.0.0.3").register().status == 403, "the user is blocked from any address"
    assert client(pbx, "1002", other_secret, host="127.0.0.2").register().status == 200, "one phone with a wrong password is one phone"
    assert client(pbx, "1002", other_secret, host="127.0.0.3").register().status == 200, "others go on"
    assert len(pbx.log_lines("auth_blocked")) == 2
    for number in ("2001", "2002", "2003", "2004"):
        client(pbx, number, "guess", host="127.0.0.2").register()
    third_secret = pbx.account("1003")
    assert client(pbx, "1003", third_secret, host="127.0.0.2").register().status == 403, "the address is blocked"
    assert client(pbx, "1003", third_secret, host="127.0.0.3").register().status == 200
    assert len(pbx.log_lines("auth_blocked")) == 3


def test_phones_behind_one_address_with_a_phone_that_has_a_wrong_password_go_on(make_pbx, phones):
    """As behind NAT: all of them at 127.0.0.1."""
    pbx = make_pbx()
    alice, bob = phones(pbx, "1001", "1002")
    pbx.account("1003")
    for number in ("1003", "1001"):  # of nobody here, and of a phone that is registered
        wrong = SipClient(pbx, number, "wrong")
        fail(wrong)
        wrong.close()
    alice.dial("1002")
    bob.answer()
    alice.established()
    assert alice.hears(bob.hertz) and bob.hears(alice.hertz)
    alice.hangup()
    bob.closed()
    bob.dial("1001")
    alice.answer()
    bob.established()
    bob.hangup()
    alice.closed()


def test_who_was_registered_at_an_address_goes_on_when_it_is_blocked(make_pbx, client):
    pbx = make_pbx()
    phones = [client(pbx, number, pbx.account(number)) for number in ("1001", "1002")]
    for phone in phones:
        assert phone.register().status == 200
    fresh = pbx.account("1003")
    for number in ("2001", "2002", "2003", "2004", "2005"):
        assert client(pbx, number, "guess").register().status == 401
    assert client(pbx, "1003", fresh).register().status == 403, "nobody new comes in"
    assert [phone.register().status for phone in phones] == [200, 200], "these were here before"
    assert client(pbx, "1001", phones[0].secret).register().status == 200, "whatever port they come from"
    assert client(pbx, "1002", phones[1].secret).invite("1999").status == 404
    wrong = [client(pbx, number, "guess").register() for number in ("1001", "1002", "1003", "2001")]
    assert [answer.status for answer in wrong] == [403] * 4, "and who is, is not told to guessers"


def test_a_registered_phone_is_no_way_to_guess_for_ever(make_pbx, client):
    """As svcrack does it: with a nonce of its own for each word, from beside the phone and from its very port."""
    pbx = make_pbx()
    secret = pbx.account("1001")
    phone = client(pbx, "1001", secret)
    assert phone.register().status == 200
    guesser = client(pbx, "1001", "guess")
    fail(guesser)
    guesser.secret = secret
    assert guesser.register().status == 403
    assert phone.register().status == 200
    phone.secret = "guess"
    assert [phone.register().status for _ in range(5)] == [403] * 5
    phone.secret = secret
    assert phone.register().status == 403
    assert len(pbx.log_lines("auth_failed")) == 10


def test_lockouts_are_listed_lifted_and_told(make_pbx, client):
    pbx = make_pbx("sip:\n  auth_block_s: 900")
    secret = pbx.account("1001")
    assert pbx.ctl("registrations", "blocked") == []
    fail(client(pbx, "1001", "guess", host="127.0.0.2"))
    for listed in pbx.ctl("registrations", "blocked"), pbx.says("registrations", "blocked")[1], pbx.http("GET", "/registration-lockouts")[1]:
        assert sorted((one["address"], one["user"], one["reason"], one["failures"]) for one in listed) == \
            [("", "1001", "guessed_elsewhere", 5), ("127.0.0.2", "1001", "wrong_passwords", 5)]
        assert all(one["until"].endswith("Z") for one in listed)
    told = pbx.wait_event("registration.blocked", where=lambda data: data["address"] == "127.0.0.2")["data"]
    assert told == {"address": "127.0.0.2", "user": "1001", "reason": "wrong_passwords", "for_s": 900}
    with pytest.raises(Refused, match="127.0.0.9 is not locked out, `pbxctl registrations blocked` shows who is"):
        pbx.ctl("registrations", "unblock", "127.0.0.9")
    assert pbx.http("DELETE", "/registration-lockouts/127.0.0.9")[0] == 404
    pbx.ctl("registrations", "unblock", "127.0.0.2")
    assert [one["address"] for one in pbx.ctl("registrations", "blocked")] == [""]
    assert client(pbx, "1001", secret, host="127.0.0.2").register().status == 403, "the user still is"
    assert pbx.http("DELETE", "/registration-lockouts/1001")[0] == 204
    assert pbx.ctl("registrations", "blocked") == []
    assert client(pbx, "1001", secret, host="127.0.0.2").register().status == 200
    pbx.wait_for(lambda: len(pbx.events("registration.unblocked")) == 2, "both ends to be told")
    assert [event["data"]["address"] for event in pbx.events("registration.unblocked")] == ["127.0.0.2", ""]
    assert all(event["data"]["by"] for event in pbx.events("registration.unblocked"))


def test_a_lockout_ends_by_itself_and_that_is_told(make_pbx, client, tmp_path):
    clock = Clock(tmp_path)
    pbx = make_pbx("sip:\n  auth_block_s: 600", environment=clock.environment)
    secret = pbx.account("1001")
    fail(client(pbx, "1001", "guess"))
    assert pbx.events("registration.unblocked") == []
    clock.move(601)
    pbx.wait_for(lambda: len(pbx.events("registration.unblocked")) == 2, "the end to be told")
    assert {event["data"]["by"] for event in pbx.events("registration.unblocked")} == {""}
    assert pbx.ctl("registrations", "blocked") == []
    assert client(pbx, "1001", secret).register().status == 200


class Guesser(SipClient):
    """Speaks from an address of IPv6."""

    def __init__(self, pbx, number, secret, address):
        super().__init__(pbx, number, secret)
        self.socket.close()
        self.socket, self.host = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM), f"[{address}]"
        self.socket.bind((address, self.port))

    def send(self, data):
        self.socket.sendto(data.encode(), ("fd77::1", self.pbx.sip_port))


@pytest.fixture
def network():
    """A namespace with two networks of IPv6: fd77::/64, where the PBX is, and fd77:0:0:1::/64."""
    try:
        house = House(rooms=0)
    except PermissionError as problem:
        pytest.skip(f"no network namespaces here: {problem}")
    for address in ["fd77::1", *(f"fd77::{last}" for last in range(11, 18)), "fd77:0:0:1::1"]:
        subprocess.run(["ip", "-6", "addr", "add", f"{address}/128", "dev", "lo", "nodad"], check=True)
    yield
    house.close()


def test_whoever_guesses_from_a_network_of_ipv6_is_one(network, make_pbx, request):
    pbx = make_pbx('sip:\n  listen: ["udp:[fd77::1]:{port}"]'.format(port=free_port()))
    pbx.sip_port = int(pbx.ctl("config", "show", "sip.listen")[0]["value"][0].rsplit(":", 1)[1])
    secrets = {number: pbx.account(number) for number in ("1001", "1002", "1003")}

    def register(number, secret, address):
        made = Guesser(pbx, number, secret, address)
        request.addfinalizer(made.close)
        return made.register().status

    assert [register(f"11{last}", "guess", f"fd77::{last}") for last in range(11, 16)] == [401] * 5, "each from another address, for another number"
    assert register("1001", secrets["1001"], "fd77::16") == 403, "their network is blocked"
    assert register("1002", secrets["1002"], "fd77:0:0:1::1") == 200, "the one beside it is not"
    assert len(pbx.log_lines("auth_blocked")) == 1


def test_failures_as_user_of_an_addresss_name_do_not_block_that_address(pbx, client):
    """A guesser gives another phone's address as user name: that phone is not to suffer."""
    secret = pbx.account("1001")
    guesser = client(pbx, "127.0.0.9", "guess", host="127.0.0.2")
    for _ in range(5):
        guesser.register()
    assert client(pbx, "1001", secret, host="127.0.0.9").register().status == 200


def test_a_short_registration_is_423_with_min_expires(pbx, client):
    phone = client(pbx, "1001", pbx.account("1001"))
    refused = phone.register(expires=10)
    assert (refused.status, refused.get("Min-Expires")) == (423, "60")
    assert pbx.ctl("registrations", "list", "1001") == []
    assert phone.register(expires=60).status == 200


def test_star_takes_all_contacts_back_and_calls_get_480(pbx, client, sink):
    phone, second = client(pbx, "1001", secret := pbx.account("1001")), client(pbx, "1001", secret)
    caller = client(pbx, "1003", pbx.account("1003"))
    assert phone.register().status == 200 and second.register().status == 200
    assert len(pbx.ctl("registrations", "list", "1001")) == 2
    cleared = phone.register(expires=0, contact="*")
    assert cleared.status == 200 and cleared.all("Contact") == []
    assert pbx.ctl("registrations", "list", "1001") == []
    pbx.wait_event("extension.unregistered", where=lambda data: data["extension"] == "1001")
    assert caller.invite("1001").status == 480


def test_star_with_another_expires_is_400(pbx, client):
    phone = client(pbx, "1001", pbx.account("1001"))
    assert phone.register().status == 200
    assert phone.register(expires=300, contact="*").status == 400
    assert len(pbx.ctl("registrations", "list", "1001")) == 1


def test_a_sixth_device_pushes_out_the_oldest_and_a_contact_expires_alone(pbx, client):
    secret = pbx.account("1001")
    devices = [client(pbx, "1001", secret) for _ in range(6)]
    for device in devices:
        assert device.register().status == 200
    ports = {contact["contact"].rsplit(":", 1)[1].rstrip(">") for contact in pbx.ctl("registrations", "list", "1001")}
    assert ports == {str(device.port) for device in devices[1:]}
    last = devices[-1]
    assert last.register(contact=f"<sip:1001@127.0.0.1:{last.port}>;expires=0").status == 200
    assert len(pbx.ctl("registrations", "list", "1001")) == 4


def test_garbage_for_credentials_is_challenged_again(pbx, client):
    secret = pbx.account("1001")
    phone = client(pbx, "1001", secret)
    uri, to = "sip:pbx.test", "sip:1001@pbx.test"
    refused = phone.ask("REGISTER", uri, to=to)
    good = answer_to(phone.challenge(refused), "REGISTER", uri, "1001", secret)
    for bad in ("Digest", "Basic MTAwMTpzZWNyZXQ=", 'Digest username="1001"', good.replace("pbx.test", "elsewhere.test", 1),
                re.sub(r'nonce="\w+"', 'nonce="' + "0" * 48 + '"', good), re.sub(r"nc=\w+", "nc=00000000", good),
                good.replace("qop=auth", "qop=auth-int"), good.replace('username="1001"', 'username="' + "9" * 5000 + '"')):
        answer = phone.ask("REGISTER", uri, [f"Authorization: {bad}"], to=to)
        assert answer is not None and answer.status in (400, 401), bad
    assert pbx.ctl("registrations", "list", "1001") == []


def test_what_was_answered_200_survives_a_kill_at_once(pbx, client):
    secret = pbx.account("1001", max_contacts=10)
    for port in (40001, 40002, 40003):
        phone = client(pbx, "1001", secret)
        assert phone.register(contact=f"<sip:1001@127.0.0.1:{port}>").status == 200
        pbx.kill()
        pbx.restart()
    assert {f"sip:1001@127.0.0.1:{port}" for port in (40001, 40002, 40003)} == \
        {contact["contact"] for contact in pbx.ctl("registrations", "list", "1001")}


def test_a_register_that_comes_again_gets_the_same_answer_and_from_elsewhere_a_challenge(pbx, client):
    phone = client(pbx, "1001", pbx.account("1001"))
    uri, to = "sip:pbx.test", "sip:1001@pbx.test"
    refused = phone.ask("REGISTER", uri, to=to)
    phone.cseq += 1
    request = phone.text("REGISTER", uri, [phone.credentials(refused, "REGISTER", uri), "Expires: 300"], to=to)
    answers = []
    for _ in range(2):
        phone.send(request)
        answers.append(phone.receive(lambda message: message.get("CSeq") == f"{phone.cseq} REGISTER"))
    assert [answer.status for answer in answers] == [200, 200] and answers[0].get("To") == answers[1].get("To")
    assert len(pbx.ctl("registrations", "list", "1001")) == 1
    thief = client(pbx, "1001")
    thief.send(request)
    assert thief.receive(lambda message: message.get("CSeq") == f"{phone.cseq} REGISTER").status == 401


def loop_cpu_ns(pbx):
    """What the loop's thread has computed so far: load of the machine does not show in it."""
    return int(Path(f"/proc/{pbx.process.pid}/task/{pbx.process.pid}/schedstat").read_text().split()[0])


def test_a_wrong_secret_costs_as_much_for_a_number_that_exists_as_for_one_that_does_not(make_pbx, client):
    """200 samples each, by turns, in CPU time of the loop. Whoever measures us must not learn numbers."""
    pbx = make_pbx("sip:\n  auth_failures: 1000\n  flood_rate: 100000\n  flood_burst: 1000000\nlog:\n  level: error")
    pbx.account("1001")
    phones = {number: client(pbx, number, "wrong") for number in ("1001", "1999")}
    uri, costs = "sip:pbx.test", {number: [] for number in phones}
    for _ in range(205):
        for number, phone in phones.items():
            to = f"sip:{number}@pbx.test"
            line = phone.credentials(phone.ask("REGISTER", uri, to=to), "REGISTER", uri)
            before = loop_cpu_ns(pbx)
            assert phone.ask("REGISTER", uri, [line], to=to).status == 401
            pbx_settles(pbx)
            costs[number].append(loop_cpu_ns(pbx) - before)
    known, unknown = (statistics.median(sorted(costs[number][5:])) for number in phones)
    assert abs(known - unknown) < 0.1 * min(known, unknown), f"median {known} ns for a known number, {unknown} ns for an unknown one"


def pbx_settles(pbx):
    """The loop sleeps: what it did is counted."""
    stat = Path(f"/proc/{pbx.process.pid}/task/{pbx.process.pid}/stat")
    while stat.read_text().rsplit(")", 1)[1].split()[0] != "S":
        pass


FILTER = Path(__file__).resolve().parents[2] / "packaging" / "fail2ban" / "pbx.conf"


def test_fail2bans_filter_sees_whom_we_lock_out_and_nobody_else(make_pbx, client, tmp_path):
    pbx = make_pbx()
    secret = pbx.account("1001")
    assert client(pbx, "1001", secret, host="127.0.0.4").register().status == 200
    other = client(pbx, "1002", "guess", host="127.0.0.3", user="x address=127.0.0.4 user=y method=REGISTER")
    for _ in range(5):
        assert other.register().status == 401
    pbx.wait_for(lambda: pbx.log_lines("auth_blocked"), "the lock-out")
    for name in (FILTER, Path("/etc/fail2ban/filter.d/common.conf")):
        (tmp_path / name.name).write_text(name.read_text())
    seen = subprocess.run(["fail2ban-regex", "--out", "ip", str(pbx.log_path), str(tmp_path / FILTER.name)], check=True, stdout=subprocess.PIPE, text=True)
    found = seen.stdout.split()
    assert found.count("127.0.0.3") == 6 and "127.0.0.4" not in found, seen.stdout
