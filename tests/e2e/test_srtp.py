"""Encrypted media with keys in SDP (RFC 4568, RFC 8643): what real phones hear, and what passes on the wire."""
import json
import re

from ear import Listener

SUITE = "AES_CM_128_HMAC_SHA1_80"


class Eavesdropper(Listener):
    """Hears a phone's packets as if they were plain."""

    def __init__(self, phone):
        self.ear = phone.wire


def talk(caller, callee):
    caller.dial(callee.number)
    callee.answer()
    caller.established()


def end(one, other):
    one.hangup()
    other.closed()


def suites(pbx):
    return sorted(leg["srtp"] for leg in pbx.ctl("media", "streams"))


def refused(phone, number, code):
    phone.dial(number)
    return str(code) in phone.closed()["param"]


def test_an_encrypted_phone_talks_with_a_plain_one(pbx, phones):
    hidden, plain = phones(pbx, "1001", media="srtp-mand"), phones(pbx, "1002")
    talk(hidden, plain)
    assert plain.hears(hidden.hertz)
    assert hidden.hears(plain.hertz)
    assert not Eavesdropper(hidden).hears(plain.hertz, within=1.0)
    assert suites(pbx) == ["", SUITE]
    assert all(leg["forged"] <= 1 for leg in pbx.ctl("media", "streams"))  # baresip begins with a plain RTCP packet, for NAT
    end(hidden, plain)


def test_each_leg_has_keys_of_its_own_and_the_trace_has_none(make_pbx, phones):
    pbx = make_pbx(listen=("udp", "tcp", "tls"))
    one, two = (phones(pbx, number, media="srtp", transport="tls") for number in ("1001", "1002"))
    talk(one, two)
    assert two.hears(one.hertz)
    assert one.hears(two.hertz)
    assert suites(pbx) == [SUITE] * 2
    two.hold()
    pbx.wait_event("call.hold")
    two.resume()
    pbx.wait_event("call.resume")
    assert one.hears(two.hertz)  # under the same keys
    end(one, two)
    trace = pbx.http("GET", f"/calls/{pbx.wait_event('call.ended')['call_id']}/trace?full=true")[1]
    keys = re.findall(r"inline:(\S*?)[|\\]", json.dumps(trace))
    assert keys and all(set(key) == {"x"} for key in keys)


def test_who_must_be_encrypted_refuses_the_plain(make_pbx, phones):
    pbx = make_pbx("media:\n  srtp: required\n")
    one, two = phones(pbx, "1001", "1002")
    assert refused(one, "1002", 488)
    pbx.ctl("extension", "set", "1001", "srtp=optional")
    assert refused(one, "1002", 488)  # the caller may by now, but who is called is offered nothing else
    pbx.ctl("extension", "set", "1002", "srtp=off")
    talk(one, two)
    assert two.hears(one.hertz)
    assert suites(pbx) == ["", ""]
    end(one, two)


def test_who_must_not_be_encrypted_is_not(make_pbx, phones):
    pbx = make_pbx("media:\n  srtp: \"off\"\n")
    hidden, plain = phones(pbx, "1001", media="srtp-mand"), phones(pbx, "1002")
    assert refused(hidden, "1002", 488)
    pbx.ctl("extension", "set", "1001", "srtp=required")
    talk(plain, hidden)
    assert plain.hears(hidden.hertz)
    assert hidden.hears(plain.hertz)
    end(plain, hidden)
