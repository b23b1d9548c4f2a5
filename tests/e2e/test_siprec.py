"""Calls that recorders elsewhere are sent (RFC 7866): each party in a stream of its own, who they are, and what becomes of it when a recorder is not there."""
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from certificates import Authority
from pbx import Pbx
from srs import SUITE, Recorder, SecureRecorder
from talker import Talker
from tone import TONES

SETTINGS = """call_recording:
  min_free_mb: 0
  min_duration_s: 0
  recorders: [{{name: vault, uri: "{vault}", user: pbx, secret: sesame}}]
  rules: [{{name: pair, extensions: ["1001"], record: always, file: false, siprec: ["{first}", "{second}", vault]}}, \
{{name: secret, extensions: ["1003"], record: always, siprec: [vault], siprec_srtp: required}}, \
{{name: strict, extensions: ["1005"], record: always, file: false, siprec: ["{first}"], siprec_required: true}}]
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A PBX and three recorders; the third, `vault`, wants to know who we are."""
    first, second, vault = recorders = [Recorder(), Recorder(), Recorder(credentials=("pbx", "sesame"))]
    pbx = Pbx(tmp_path_factory.mktemp("siprec") / "pbx", SETTINGS.format(first=first.uri, second=second.uri, vault=vault.uri)).start()
    pbx.secrets = {number: pbx.account(number, name=f"Phone {number}") for number in TONES}
    for recorder in recorders:
        recorder.pbx = pbx
    yield pbx, recorders
    pbx.stop()
    for recorder in recorders:
        recorder.close()


@pytest.fixture
def parties(request):
    """parties("1001", …): phones, each with its tone; of the house, or of another PBX."""
    made = []

    def make(*numbers, pbx=None):
        pbx = pbx or request.getfixturevalue("house")[0]
        for number in numbers:
            made.append(Talker(pbx, number, pbx.secrets[number], TONES[number]))
            assert made[-1].register().status == 200
        return made[-len(numbers):]

    yield make
    for talker in made:
        talker.register(expires=0)
        talker.close()


def call(caller, callee):
    answering = threading.Thread(target=callee.answer)
    answering.start()
    caller.dial(callee.number)
    answering.join()


def hear_each(recorder, one, other):
    """Each label has one voice, and not the other's."""
    with ThreadPoolExecutor() as pool:
        heard = [pool.submit(recorder.streams[label].hears, voice.hertz, [silent.hertz], seconds=0.6)
                 for label, voice, silent in (("1", one, other), ("2", other, one))]
        assert all(each.result() for each in heard)


def active(pbx):
    rows = pbx.ctl("recording", "active")
    return rows[0] if rows else None


def kept(pbx, recording_id):
    """Its row, when it is over."""
    return pbx.wait_for(lambda: next((row for row in pbx.ctl("recording", "list") if row["id"] == recording_id and row["ended_at"]), None), "the recording's end")


def test_each_party_has_a_stream_through_pause_and_transfer(house, parties):
    pbx, (first, _, _) = house
    alice, bob, carol = parties("1001", "1002", "1004")
    marks = [stream.ear.mark() for stream in first.streams.values()]
    call(alice, bob)
    offer = first.take()
    assert offer.message.get("Require") == "siprec" and "+sip.src" in offer.message.get("Contact")
    assert [line[:2] for line in offer.lines()] == [("1", "sendonly"), ("2", "sendonly")] and offer.mode() == "complete"
    assert offer.voices() == {"sip:1001@pbx.test": "1", "sip:1002@pbx.test": "2"}
    hear_each(first, alice, bob)
    shown = active(pbx)
    assert (shown["recorder"], shown["recorder_state"]) == (first.uri, "connected") and shown["recorder_packets"] > 0
    assert not any(stream.ear.breaks(mark + 1) for stream, mark in zip(first.streams.values(), marks))
    assert all(leg["peer"] and not leg["playing"] for leg in pbx.ctl("media", "streams"))  # a relayed call as before

    first.ask_for_snapshot()
    again = first.take()
    assert again.mode() == "complete" and again.people() == offer.people()

    pbx.ctl("recording", "call", shown["call_id"], "pause")
    assert first.take().directions() == ["inactive"] * 2
    marks = [stream.ear.mark() for stream in first.streams.values()]
    assert alice.hears(bob.hertz, seconds=0.5)
    assert [stream.ear.mark() for stream in first.streams.values()] == marks
    pbx.ctl("recording", "call", shown["call_id"], "resume")
    assert first.take().directions() == ["sendonly"] * 2
    hear_each(first, alice, bob)

    answering = threading.Thread(target=carol.answer)
    answering.start()
    transferring = threading.Thread(target=bob.refer, args=("1004",))
    transferring.start()
    came, gone = {}, []
    while "sip:1004@pbx.test" not in came:
        change = first.take()
        assert change.mode() == "partial"
        came.update(change.people())
        gone += change.gone()
    assert gone == [offer.people()["sip:1002@pbx.test"]] and list(came) == ["sip:1004@pbx.test"]
    answering.join()
    bob.closed()
    transferring.join()
    hear_each(first, alice, carol)
    alice.hangup()
    carol.closed()
    first.closed()
    row = kept(pbx, shown["id"])
    assert (row["outcome"], row["recorder"], row["from"], row["to"]) == ("stored_remotely", first.uri, "1001", "1002")
    status, problem = pbx.http("GET", f"/recordings/{row['id']}/audio")
    assert status == 404 and first.uri in problem["detail"]


def test_another_recorder_takes_it_while_the_call_goes_on(house, parties):
    pbx, (first, second, vault) = house
    alice, bob = parties("1001", "1002")
    before = pbx.last_seq()
    call(alice, bob)
    first.refuse(503, "Service Unavailable")
    offer = second.take()
    hear_each(second, alice, bob)
    second.vanish()
    shown = active(pbx)
    pbx.ctl("recording", "call", shown["call_id"], "pause")  # nobody is there to hear of it
    assert vault.take().people() == offer.people()
    pbx.ctl("recording", "call", shown["call_id"], "resume")
    assert vault.take().directions() == ["sendonly"] * 2
    hear_each(vault, alice, bob)
    vault.leave()
    first.take()
    hear_each(first, alice, bob)
    assert alice.hears(bob.hertz, seconds=0.5)
    told = [(event["data"]["recorder"], event["data"]["sip_code"], event["data"]["lasted"]) for event in pbx.events("recording.session_failed")
            if event["seq"] > before]
    assert told == [(first.uri, 503, False), (second.uri, 503, True), ("vault", 200, True)]
    alice.hangup()
    bob.closed()
    first.closed()
    assert kept(pbx, shown["id"])["recorder"] == first.uri


def test_an_encrypted_session_beside_a_file(house, parties):
    pbx, (_, _, vault) = house
    alice, bob = parties("1003", "1002")
    call(alice, bob)
    offer = vault.take()
    assert all(transport == "RTP/SAVP" and key for _, _, _, transport, key in offer.lines()) and SUITE in offer.sdp
    pbx.ctl("plugin", "reload", "call_recording")
    hear_each(vault, alice, bob)
    shown = active(pbx)
    assert shown["recorder"] == "vault"
    alice.hangup()
    bob.closed()
    vault.closed()
    row = kept(pbx, shown["id"])
    assert (row["outcome"], row["recorder"]) == ("stored", "vault") and row["size_bytes"] > 0


def test_without_its_recorder_a_call_ends(house, parties):
    pbx, (first, _, _) = house
    alice, bob = parties("1005", "1002")
    call(alice, bob)
    first.refuse(603, "Decline")
    assert alice.hears(640, [bob.hertz], seconds=0.5)  # "this call cannot be recorded"
    alice.closed()
    bob.closed()
    pbx.wait_event("recording.stopped", where=lambda data: data["outcome"] == "failed")


@pytest.fixture
def secure(make_pbx, tmp_path, request):
    """secure("DNS:localhost", …): a PBX and recorders of TLS in order of preference, each with a certificate of that name; "!DNS:…": of an authority that nobody knows."""
    authority, somebody = Authority(tmp_path), Authority(tmp_path, "Somebody")

    def make(*names, called="sip:recorder@localhost:{port};transport=tls", contact=";transport=tls"):
        made = []
        for at, name in enumerate(names):
            voucher = somebody if name[0] == "!" else authority
            made.append(SecureRecorder(voucher.server_context(f"recorder{at}", more=f"subjectAltName={name.strip('!')}"), contact=contact))
            request.addfinalizer(made[-1].close)
        uris = ", ".join(f'"{called.format(port=recorder.port)}"' for recorder in made)
        pbx = make_pbx(f"call_recording:\n  min_free_mb: 0\n  auto_record: true\n  file: false\n  siprec: [{uris}]\n  siprec_srtp: required\n"
                       f"sip:\n  tls_authorities: {authority.folder}/ca.pem\n", listen=("udp", "tls"))
        pbx.secrets = {number: pbx.account(number, name=f"Phone {number}") for number in TONES}
        return pbx, *made
    return make


@pytest.mark.parametrize("name, called, scheme, contact", [
    ("DNS:localhost", "sip:recorder@localhost:{port};transport=tls", "sip", ";transport=tls"),
    ("DNS:localhost", "sips:recorder@localhost:{port}", "sips", ""),
    ("IP:127.0.0.1", "sip:recorder@127.0.0.1:{port};transport=tls", "sip", "")])
def test_by_tls_nothing_goes_another_way(secure, parties, name, called, scheme, contact):
    """Whatever a recorder's Contact says, its keys come by the connection whose certificate was looked at."""
    pbx, recorder = secure(name, called=called, contact=contact)
    alice, bob = parties("1001", "1002", pbx=pbx)
    call(alice, bob)
    offer = recorder.take()
    assert offer.message.get("Via").startswith("SIP/2.0/TLS") and offer.message.get("Contact").startswith(f"<{scheme}:")
    assert offer.message.start == f"INVITE {called.format(port=recorder.port)} SIP/2.0" and "application/rs-metadata-request" in offer.message.get("Accept")
    assert all(transport == "RTP/SAVP" and key for _, _, _, transport, key in offer.lines())
    hear_each(recorder, alice, bob)
    recorder.ask_for_snapshot()
    assert recorder.take().people() == offer.people()
    shown = active(pbx)
    pbx.ctl("recording", "call", shown["call_id"], "pause")
    assert recorder.take().directions() == ["inactive"] * 2
    pbx.ctl("recording", "call", shown["call_id"], "resume")
    assert recorder.take().directions() == ["sendonly"] * 2
    hear_each(recorder, alice, bob)
    alice.hangup()
    bob.closed()
    recorder.closed()
    assert kept(pbx, shown["id"])["outcome"] == "stored_remotely"
    assert len(recorder.connections) == 1 and not recorder.came_by_udp()


def test_a_connection_that_ends_is_made_anew_and_a_recorder_leaves_by_its_own(secure, parties):
    pbx, recorder = secure("DNS:localhost")
    alice, bob = parties("1001", "1002", pbx=pbx)
    call(alice, bob)
    recorder.take()
    recorder.break_off()
    shown = active(pbx)
    pbx.ctl("recording", "call", shown["call_id"], "pause")
    assert recorder.take().directions() == ["inactive"] * 2
    assert len(recorder.connections) == 2 and not recorder.came_by_udp()
    recorder.leave()
    assert pbx.wait_event("recording.session_failed")["data"]["lasted"]
    alice.hangup()
    bob.closed()


@pytest.mark.parametrize("name, why", [("DNS:elsewhere.test", ""), ("!DNS:localhost", "certificate")])
def test_who_cannot_prove_its_name_is_told_nothing(secure, parties, name, why):
    pbx, wrong, right = secure(name, "DNS:localhost")
    alice, bob = parties("1001", "1002", pbx=pbx)
    call(alice, bob)
    offer = right.take()
    assert offer.voices() == {"sip:1001@pbx.test": "1", "sip:1002@pbx.test": "2"}
    hear_each(right, alice, bob)
    failed = pbx.wait_event("recording.session_failed")["data"]
    assert str(wrong.port) in failed["recorder"] and failed["sip_code"] == 503 and why in failed["why"] and not failed["lasted"]
    assert wrong.messages.empty() and not wrong.came_by_udp()
    alice.hangup()
    bob.closed()
    right.closed()
