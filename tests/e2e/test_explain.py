"""What `calls explain` says about real calls that fail, are one-way or sound bad: one scenario a rule, each with the evidence it has to name.

The tests share a PBX with everything a scenario needs; each has parties of its own, and finds its call by the Call-ID of the caller."""
import re
import signal
import socket
import ssl
import subprocess
import threading

import pytest
from certificates import Authority
from machine import Watch, stalls
from pbx import BUILD, Pbx, Refused
from ports import free_port
from sip_client import OFFER, SipClient
from talker import Talker

SETTINGS = """\
sip_trunk:
  register_jitter_s: 0
media:
  timeout_s: 4
api:
  user_scopes: ["calls:read", "registrations:read"]
"""
PASSWORD = "long enough for a person"
ACCOUNTS = {"1001": {"password": PASSWORD}, "1002": {"password": PASSWORD}, "1003": {"allow_external": "false"}, "1004": {}, "1005": {"ring_s": 5}, "1006": {"dnd": "true"}, "1007": {"max_calls": 1},
            "1008": {}, "1009": {}, "1010": {}, "1011": {}}
PROVIDER = "127.0.0.2"


class House:
    def __init__(self, pbx):
        self.pbx = pbx
        self.secrets = {number: pbx.account(number, **values) for number, values in ACCOUNTS.items()}
        self.parties = []

    def party(self, number, hertz=440, registered=True):
        self.parties.append(Talker(self.pbx, number, self.secrets[number], hertz))
        if registered:
            assert self.parties[-1].register().status == 200
        return self.parties[-1]

    def provider(self, name, digits, **values):
        """A provider on an address of its own, to whom numbers that begin with `digits` go."""
        far = SipClient(self.pbx, name, host=PROVIDER)
        self.parties.append(far)
        values = {"host": PROVIDER, "port": far.port, "keep_alive_interval_s": 0, **values}
        self.trunk(name, digits, **values)
        return far

    def trunk(self, name, digits, **values):
        self.pbx.ctl("trunk", "add", name, *[f"{key}={value}" for key, value in values.items()])
        self.pbx.ctl("outbound-route", "add", name, f"pattern={digits}[0-9]*", f"trunks={name}", "failover=false")

    def explained(self, party):
        """What is said once the call is over."""
        def over():
            found = self.pbx.ctl("calls", "explain", party.call_id)
            return found if found["verdict"] != "under_way" else None
        return self.pbx.wait_for(over, "the end of the call to be explained")

    def leave(self):
        for party in self.parties:
            if isinstance(party, Talker):
                party.register(expires=0)
            party.close()
        self.parties = []


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    pbx = Pbx(tmp_path_factory.mktemp("explain"), SETTINGS).start()
    yield House(pbx)
    pbx.stop()


@pytest.fixture
def house(shared):
    yield shared
    shared.leave()


def says(found, rule, *words, verdict="failed"):
    assert (found["rule"], found["verdict"]) == (rule, verdict), found
    for word in words:
        assert word in found["sentence"], (word, found["sentence"])
    assert "{" not in found["sentence"] and not found["sentence"][0].islower()
    assert found["evidence"]
    return found


def refuse(house, status, phrase, headers=()):
    """1001 calls 1002, whose phone says so: what is explained, and the phone."""
    caller, callee = house.party("1001", registered=False), house.party("1002")
    caller.ring("1002")
    callee.reply(callee.expect("INVITE"), status, phrase, headers)
    return house.explained(caller), callee


# ---- what phones answer --------------------------------------------------------------------


@pytest.mark.parametrize("status, phrase, rule", [(486, "Busy Here", "busy"), (603, "Decline", "declined"), (480, "Temporarily Unavailable", "unavailable"),
                                                  (404, "Not Found", "device_forgot"), (488, "Not Acceptable Here", "codecs_refused"), (482, "Loop Detected", "runs_in_circle"),
                                                  (420, "Bad Extension", "refused_by_them")])
def test_a_phone_refuses(house, status, phrase, rule):
    found, callee = refuse(house, status, phrase)
    says(found, rule, "1002's phone", f"127.0.0.1:{callee.port}", f"{status} {phrase}")
    assert f"from 127.0.0.1:{callee.port} by udp: SIP/2.0 {status} {phrase}" in found["evidence"][0]


def test_nobody_answers(house):
    caller, callee = house.party("1001", registered=False), house.party("1005")
    caller.ring("1005")
    rang = Watch()
    callee.reply(callee.expect("INVITE"), 180, "Ringing")
    cancel = callee.expect("CANCEL")
    callee.reply(cancel, 200, "OK")
    found = says(house.explained(caller), "no_answer", "1005's phone")
    assert 5 <= float(re.search(r"rang for ([\d.]+) s", found["sentence"])[1]) < 5.1 + stalls().lost_s(rang.began_at), found


def test_the_caller_hangs_up_while_it_rings(house):
    caller, callee = house.party("1001", registered=False), house.party("1002")
    invite = caller.ring("1002")
    callee.reply(callee.expect("INVITE"), 180, "Ringing")
    assert caller.receive(lambda message: message.status == 180)
    found = house.pbx.ctl("calls", "explain", caller.call_id)
    assert (found["verdict"], found["rule"]) == ("under_way", "ringing") and "1002's phone" in found["sentence"]
    caller.cancel(invite)
    says(house.explained(caller), "cancelled_while_ringing", "1001 hung up after", "1002's phone")


# ---- what the PBX decides --------------------------------------------------------------------


@pytest.mark.parametrize("caller, number, rule, words", [
    ("1001", "1999", "unknown_number", ["1999", "1001's phone"]), ("1003", "00441234567", "not_permitted", ["1003's phone", "extensions refused it", "may not call outside"]),
    ("1001", "1006", "route_refused", ["1006", "480", "does not want to be disturbed"]), ("1001", "1004", "nobody_registered", ["No phone of 1004"])])
def test_routing_refuses(house, caller, number, rule, words):
    party = house.party(caller, registered=False)
    assert party.invite(number).status >= 400
    says(house.explained(party), rule, *words)


def test_forwards_in_a_circle(house):
    for number, to in (("1008", "1009"), ("1009", "1008")):
        assert house.party(number, registered=False).invite(f"*76{to}").status == 200
        house.pbx.wait_for(lambda: house.pbx.ctl("extension", "show", number)["forwarding"]["always"] == to, "the forwarding to be kept")
    caller = house.party("1001", registered=False)
    assert caller.invite("1008").status == 482
    says(house.explained(caller), "forward_loop", "1008 to 1009 (unconditional), 1009 to 1008")


def test_more_calls_than_an_extension_may_have(house):
    first, second, callee = house.party("1001", registered=False), house.party("1002", registered=False), house.party("1007")
    first.ring("1007")
    callee.reply(callee.expect("INVITE"), 486, "Busy Here")  # leaves when the second has been refused
    house.explained(first)
    first = house.party("1001", registered=False)
    invite = first.ring("1007")
    callee.reply(callee.expect("INVITE"), 180, "Ringing")
    assert second.invite("1007").status == 486
    says(house.explained(second), "too_many_calls", "1007 has as many calls as it may have")
    first.cancel(invite)
    house.explained(first)


def test_a_wrong_password(house):
    caller = house.party("1001", registered=False)
    caller.secret = "wrong"
    assert caller.invite("1002").status == 407
    says(house.explained(caller), "wrong_password", f"127.0.0.1:{caller.port}", "user 1001", "407")


def test_no_password_at_all(house):
    stranger = SipClient(house.pbx, "1001")
    house.parties.append(stranger)
    answer = stranger.ask("INVITE", "sip:1002@pbx.test", body=OFFER.format(port=free_port()))
    stranger.acknowledge(answer, "sip:1002@pbx.test")
    says(house.explained(stranger), "no_password", "called 1002 as 1001", "407")


def test_a_caller_whose_audio_nobody_speaks(house):
    caller = house.party("1001", registered=False)
    assert caller.invite("1002", OFFER.format(port=free_port()).replace("RTP/AVP", "RTP/SAVP")).status == 488
    says(house.explained(caller), "caller_encryption", "only encrypted audio (SRTP)", "488", "not spoken here")
    caller, callee = house.party("1001", registered=False), house.party("1002", 660)
    offer = [line for line in OFFER.format(port=free_port()).replace("0 8 101", "96").replace(":0 PCMU/8000", ":96 SILK/24000").split("\r\n") if ":8 " not in line and ":101 " not in line]
    answers = []
    asking = threading.Thread(target=lambda: answers.append(caller.invite("1002", "\r\n".join(offer))))
    asking.start()
    invite = callee.expect("INVITE")
    callee.reply(invite, 200, "OK", body=callee.session())
    callee.closed()
    asking.join()
    assert answers[0].status == 488
    says(house.explained(caller), "no_codec_for_caller", "1001's phone", "offers SILK only, and 1002's phone", "speaks PCMU")


def test_one_side_is_set_to_encryption_and_the_other_is_not(house):
    """Required of the caller; required of who is called, whose phone answers 488, or as if it had not been asked."""
    caller, callee = house.party("1010", registered=False), house.party("1011")
    house.pbx.ctl("extension", "set", "1010", "srtp=required")
    assert caller.invite("1011").status == 488
    says(house.explained(caller), "caller_encryption", f"127.0.0.1:{caller.port}", "plain audio, where it must be encrypted", "called 1011")
    house.pbx.ctl("extension", "set", "1010", "srtp=default")
    house.pbx.ctl("extension", "set", "1011", "srtp=required")
    for status, rule, words in ((488, "srtp_refused", ["answered 488"]), (200, "no_common_encryption", ["offered encrypted audio (SRTP)", "with plain audio (RTP)"])):
        caller = house.party("1010", registered=False)
        caller.ring("1011")
        invite = callee.expect("INVITE")
        assert "RTP/SAVP" in invite.body
        callee.reply(invite, status, "OK" if status == 200 else "Not Acceptable Here", body=callee.session() if status == 200 else "")
        if status == 200:
            callee.reply(callee.expect("BYE"), 200, "OK")
        says(house.explained(caller), rule, "1011's phone", f"127.0.0.1:{callee.port}", *words)
    house.pbx.ctl("extension", "set", "1011", "srtp=default")


# ---- providers -----------------------------------------------------------------------------


@pytest.mark.parametrize("status, phrase, rule, words", [(403, "Forbidden", "trunk_forbids", ["shown acct"]), (404, "Not Found", "trunk_knows_no_number", ["the number"]),
                                                         (503, "Service Unavailable", "trunk_overloaded", []), (486, "Busy Here", "busy", []),
                                                         (407, "Proxy Authentication Required", "credentials_refused", ["user acct"])])
def test_a_provider_refuses(house, status, phrase, rule, words):
    far, number = house.provider(f"says{status}", f"7{status}", username="acct", password="geheim"), f"7{status}5551234"
    caller = house.party("1001", registered=False)
    caller.ring(number)
    challenge = ['Proxy-Authenticate: Digest realm="far", nonce="n", algorithm=MD5'] if status == 407 else []
    invite = far.expect("INVITE")
    while invite:
        far.reply(invite, status, phrase, challenge)
        far.expect("ACK")
        invite = far.expect("INVITE") if challenge and not invite.get("Proxy-Authorization") else None
    found = house.explained(caller)
    says(found, rule, f"runk says{status} ({PROVIDER}:{far.port})", f"{status} {phrase}", *words)


def test_a_provider_that_says_nothing(house):
    far, caller = house.provider("mute", "7900"), house.party("1001", registered=False)
    caller.ring("79005551234")
    assert far.expect("INVITE")
    says(house.explained(caller), "no_response", "runk mute", f"{PROVIDER}:{far.port}")


def test_a_provider_whose_channels_are_taken(house):
    far, caller, second = house.provider("narrow", "7901", max_channels=1), house.party("1001", registered=False), house.party("1002", registered=False)
    invite = caller.ring("79015551234")
    far.reply(far.expect("INVITE"), 180, "Ringing")
    assert second.invite("79015551234").status == 503
    found = house.explained(second)
    says(found, "route_refused", "79015551234", "sip_trunk", "503", "all channels are in use")
    caller.cancel(invite)
    far.reply(far.expect("CANCEL"), 200, "OK")
    house.explained(caller)


def test_a_provider_that_is_not_in_dns(house):
    house.trunk("lost", "7902", host="no-such-host.invalid", keep_alive_interval_s=0)
    caller = house.party("1001", registered=False)
    assert caller.request("INVITE", "sip:79025551234@pbx.test", body=OFFER.format(port=free_port())).status == 503
    says(house.explained(caller), "dns_failed", "runk lost", "DNS")


def test_a_provider_that_takes_no_connection(house):
    house.trunk("closed", "7903", host=PROVIDER, port=free_port(), transport="tcp", keep_alive_interval_s=0)
    caller = house.party("1001", registered=False)
    assert caller.request("INVITE", "sip:79035551234@pbx.test", body=OFFER.format(port=free_port())).status == 503
    says(house.explained(caller), "unreachable", "runk closed")


# ---- transfers -------------------------------------------------------------------------------


def talking(house, number="1002", **callee):
    caller, callee = house.party("1001", registered=False), house.party(number, 660)
    invited = threading.Thread(target=callee.answer)
    invited.start()
    caller.dial(number)
    invited.join()
    return caller, callee


def end(caller, callee):
    caller.hangup()
    callee.closed()


def test_a_transfer_to_nobody(house):
    caller, callee = talking(house)
    assert caller.refer("1999")[-1] == 404
    end(caller, callee)
    says(house.explained(caller), "transfer_failed", "1001's blind transfer to 1999 failed", "core refused 1999 with 404")


def test_a_transfer_that_is_declined(house):
    caller, callee = talking(house)
    third = house.party("1005")
    told = []
    asking = threading.Thread(target=lambda: told.extend(caller.refer("1005")))
    asking.start()
    third.reply(third.expect("INVITE"), 603, "Decline")
    asking.join()
    assert told[-1] == 603
    end(caller, callee)
    says(house.explained(caller), "transfer_failed", "transfer to 1005 failed", "1005's phone", "603 Decline")


# ---- audio -----------------------------------------------------------------------------------


def heard(house, party, packets):
    """Waits until that many packets came from a party."""
    def enough():
        return any(stream["remote"].endswith(f":{party.rtp_port}") and stream["packets_in"] >= packets for stream in house.pbx.ctl("media", "streams"))
    house.pbx.wait_for(enough, f"{packets} packets of {party.number}")


def test_a_call_that_went_well(house):
    caller, callee = talking(house)
    heard(house, callee, 50)
    live = house.pbx.ctl("calls", "explain", caller.call_id)
    assert (live["verdict"], live["rule"]) == ("under_way", "talking")
    end(caller, callee)
    says(house.explained(caller), "talked", "1001 talked with 1002", "caller hung up", verdict="good")


def test_a_phone_that_sends_nothing(house):
    caller, callee = talking(house)
    callee.speaks = False
    heard(house, caller, 20)
    end(caller, callee)
    caller, callee = house.party("1001", registered=False), house.party("1002", 660)
    callee.speaks = False
    invited = threading.Thread(target=callee.answer)
    invited.start()
    caller.dial("1002")
    invited.join()
    heard(house, caller, 100)
    live = house.pbx.ctl("calls", "explain", caller.call_id)
    says(live, "no_packet", "1002's phone", f"127.0.0.1:{callee.rtp_port}", verdict="one_way")
    end(caller, callee)
    found = says(house.explained(caller), "no_packet", "1002's phone", f"no packet came from 127.0.0.1:{callee.rtp_port}", verdict="one_way")
    assert any("0 packets came" in line for line in found["evidence"])


def tells(party, connection, port=None):
    """Its SDP names another address than its packets come from."""
    honest = party.session
    party.session = lambda direction="sendrecv", connection=connection: honest(direction, connection).replace(f"m=audio {party.rtp_port}", f"m=audio {port or party.rtp_port}")


def test_a_phone_behind_nat_that_sends_nothing(house):
    caller, callee = house.party("1001", registered=False), house.party("1002", 660)
    callee.speaks = False
    tells(callee, "10.9.8.7")
    invited = threading.Thread(target=callee.answer)
    invited.start()
    caller.dial("1002")
    invited.join()
    heard(house, caller, 100)
    end(caller, callee)
    says(house.explained(caller), "told_private", "1002's phone", f"10.9.8.7:{callee.rtp_port}", verdict="one_way")


def test_a_phone_behind_nat_is_followed(house):
    caller, callee = house.party("1001", registered=False), house.party("1002", 660)
    tells(callee, "127.0.0.1", free_port())
    invited = threading.Thread(target=callee.answer)
    invited.start()
    caller.dial("1002")
    invited.join()
    heard(house, callee, 100)
    house.pbx.wait_event("media.source_changed", where=lambda data: data["address"] == f"127.0.0.1:{callee.rtp_port}")
    end(caller, callee)
    found = house.explained(caller)
    others = [other for other in found["also"] if other["rule"] == "came_from_elsewhere"]
    assert found["rule"] == "talked" and len(others) == 1 and f"from 127.0.0.1:{callee.rtp_port} and not from 127.0.0.1" in others[0]["sentence"], found


def test_packets_are_lost(house):
    caller, callee = house.party("1001", registered=False), house.party("1002", 660)
    callee.loses = 10
    invited = threading.Thread(target=callee.answer)
    invited.start()
    caller.dial("1002")
    invited.join()
    heard(house, callee, 110)
    end(caller, callee)
    says(house.explained(caller), "packets_lost", "1002's phone", f"from 127.0.0.1:{callee.rtp_port}", "were lost on the way", verdict="bad_sound")


def test_a_phone_that_falls_silent(house):
    caller, callee = talking(house)
    heard(house, callee, 20)
    callee.speaks = False
    callee.expect("BYE")
    says(house.explained(caller), "media_stopped", "1002's phone", f"127.0.0.1:{callee.rtp_port}", "media.timeout_s")


# ---- the PBX itself ----------------------------------------------------------------------------


def test_it_crashes_and_it_is_shut_down(make_pbx):
    pbx = make_pbx("server:\n  shutdown_drain_s: 1\n")
    house = House(pbx)
    caller, callee = talking(house)
    first = pbx.wait_event("call.answered")["call_id"]
    pbx.kill()
    pbx.restart()
    house.leave()
    pbx.wait_event("call.ended")
    says(pbx.ctl("calls", "explain", first), "system_restart", "1001", "1002", "crash")
    assert pbx.http("GET", f"/calls/{first}/explain")[1]["rule"] == "system_restart"
    seq = pbx.last_seq()
    caller, callee = talking(house)
    second = pbx.wait_event("call.answered", after=seq)["call_id"]
    pbx.process.send_signal(signal.SIGTERM)
    assert pbx.process.wait(30) == 0
    pbx.restart()
    house.leave()
    says(pbx.ctl("calls", "explain", second), "shutdown", "1001", "1002", "shutdown_drain_s")


def test_a_certificate_that_is_not_believed(make_pbx, tmp_path):
    authority, other = Authority(tmp_path, "Believed"), Authority(tmp_path, "Unknown")
    certificate, key = authority.vouch("pbx")
    for name, text in (("ca.pem", authority.pem), ("pbx.pem", certificate), ("pbx.key", key)):
        (tmp_path / name).write_text(text)
    pbx = make_pbx(f"sip:\n  certificate: {tmp_path}/pbx.pem\n  key: {tmp_path}/pbx.key\n  tls_authorities: {tmp_path}/ca.pem\n", listen=("udp", "tcp", "tls"))
    house = House(pbx)
    server = socket.create_server((PROVIDER, 0))
    context = other.server_context()

    def accept():
        while True:
            connection, _ = server.accept()
            try:
                context.wrap_socket(connection, server_side=True)
            except (ssl.SSLError, OSError):
                connection.close()

    threading.Thread(target=accept, daemon=True).start()
    house.trunk("sealed", "7", host=PROVIDER, port=server.getsockname()[1], transport="tls", keep_alive_interval_s=0)
    caller = house.party("1001", registered=False)
    assert caller.request("INVITE", "sip:79045551234@pbx.test", body=OFFER.format(port=free_port())).status in (408, 503)
    says(house.explained(caller), "tls_refused", "runk sealed", "certificate", "sip.tls_authorities")
    house.leave()
    server.close()


# ---- phones that do not register -----------------------------------------------------------------


def why(house, aor):
    return house.pbx.ctl("registrations", "explain", aor)


def test_phones_that_do_not_register(make_pbx):
    pbx = make_pbx("sip:\n  auth_failures: 4\n")
    house = House(pbx)
    assert says(why(house, "1999"), "no_account", "no extension 1999")
    assert says(why(house, "1001"), "nothing_came", "No REGISTER for 1001 has come since")
    stranger = SipClient(pbx, "1001")
    to, uri = "sip:1001@pbx.test", "sip:pbx.test"
    assert stranger.ask("REGISTER", uri, to=to).status == 401
    says(why(house, "1001"), "no_password", f"127.0.0.1:{stranger.port}")
    stranger.secret = "wrong"
    assert stranger.register().status == 401
    says(why(house, "1001"), "wrong_password", f"127.0.0.1:{stranger.port}", "user 1001", "1 times")
    stranger.secret, stranger.user = house.secrets["1002"], "1002"
    assert stranger.register().status == 403
    says(why(house, "1001"), "others_account", "user 1002", "1001")
    stranger.secret, stranger.user = house.secrets["1001"], "1001"
    assert stranger.register(expires=10).status == 423
    says(why(house, "1001"), "too_brief", "sip.min_expires_s", "423")
    assert stranger.register().status == 200
    says(why(house, "1001"), "registered", "1001 is registered", f"127.0.0.1:{stranger.port}", verdict="good")
    assert pbx.http("GET", "/registrations/1001/explain")[1]["rule"] == "registered"
    (contact,) = pbx.ctl("registrations", "list", "1001")
    pbx.ctl("registrations", "remove", contact["id"])
    says(why(house, "1001"), "taken_away", f"127.0.0.1:{stranger.port}")
    assert stranger.register(expires=0).status == 200
    says(why(house, "1001"), "unregistered", "signed off")
    other = SipClient(pbx, "1998", "guess")
    assert other.register().status == 401
    says(why(house, "1998"), "unknown_account", "no extension 1998", f"127.0.0.1:{other.port}")
    stranger.secret = "wrong"
    while stranger.register().status != 403:
        pass
    says(why(house, "1001"), "locked_out", f"127.0.0.1:{stranger.port}", "403")
    for client in (stranger, other):
        client.close()


# ---- a call as a whole ---------------------------------------------------------------------------


def test_a_call_is_shown_with_its_ladder_and_its_sentence(house):
    caller, callee = talking(house)
    (live,) = [call["call_id"] for call in house.pbx.ctl("calls", "list")]
    shown = house.pbx.ctl("calls", "show", live)
    assert (shown["state"], shown["rule"], len(shown["legs"])) == ("answered", "talking", 2) and shown["sentence"] == "1001 talks with 1002"
    end(caller, callee)
    house.explained(caller)
    shown = house.pbx.ctl("calls", "show", live)
    assert (shown["state"], shown["disposition"], shown["hangup_by"]) == ("ended", "answered", "caller")
    assert [(leg["number"], leg["address"]) for leg in shown["legs"]] == [("1001", f"127.0.0.1:{caller.port}"), ("1002", f"127.0.0.1:{callee.port}")]
    assert [rung["line"] for rung in shown["ladder"]][-2:] == ["BYE sip:1002@127.0.0.1:%d SIP/2.0" % callee.port, "SIP/2.0 200 OK"]
    printed = subprocess.run([str(BUILD / "api" / "pbxctl"), "--socket", str(house.pbx.control), "calls", "show", live], capture_output=True, text=True, timeout=30,
                             env={"COLUMNS": "110"}).stdout.splitlines()
    rows = [line for line in printed if "│" in line]
    assert len(rows) == len(shown["ladder"]) and re.match(r"\d\d:\d\d:\d\d\.\d{3} ", rows[0])
    assert all(re.match(r" +\+\d+\.\d{3} s ", row) for row in rows[1:]) and "BYE" in "".join(rows[-4:])
    assert " ".join(printed[:printed.index(next(line for line in printed if line.startswith("call_id ")))]) == shown["sentence"], printed


def test_a_call_keeps_its_explanation_over_a_restart(make_pbx):
    pbx = make_pbx()
    house = House(pbx)
    found, callee = refuse(house, 486, "Busy Here")
    house.leave()
    pbx.stop()
    pbx.restart()
    says(pbx.ctl("calls", "explain", found["call_id"]), "busy", f"1002's phone (127.0.0.1:{callee.port}) was busy: it answered 486 Busy Here")


def test_people_have_only_their_own_calls_explained(house):
    caller = house.party("1001", registered=False)
    assert caller.invite("1999").status == 404
    call_id = house.explained(caller)["call_id"]
    logged_in = [house.pbx.http("POST", "/auth/login", {"extension": number, "password": PASSWORD}, token="") for number in ("1001", "1002")]
    mine, others = [answer["token"] for _, answer in logged_in]
    assert house.pbx.http("GET", f"/calls/{call_id}/explain", token=mine)[1]["rule"] == "unknown_number"
    assert house.pbx.http("GET", f"/calls/{call_id}/explain", token=others)[0] == 404
    assert house.pbx.http("GET", "/registrations/1001/explain", token=mine)[0] == 200
    assert house.pbx.http("GET", "/registrations/1001/explain", token=others)[0] == 403


# ---- who may ask, and what is asked ----------------------------------------------------------------


def test_what_nobody_knows_is_not_explained(house):
    with pytest.raises(Refused, match="no call's id"):
        house.pbx.ctl("calls", "explain", "01NOBODY")
    assert house.pbx.http("GET", "/calls/01NOBODY/explain")[0] == 404
    assert house.pbx.http("GET", "/calls/01NOBODY/explain", token="none")[0] == 401
