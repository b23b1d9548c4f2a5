"""Conferences with real phones, each with a tone of its own: who hears whom, keys, PINs, moderators, and a plugin that is exchanged meanwhile."""
import re
import time
import xml.etree.ElementTree as XML
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import pytest
from ear import PCMU
from key_phone import Party
from machine import Watch, stalls, waited_s
from talker import Talker
from tone import PROMPTS, RATE, power_db, silent_at, windows_db
from watcher import Watcher

MUSIC = 520
QUIET = "conference:\n  announce: false\n"
ROOMS = QUIET + '  rooms: [{number: "2001", pin: "4321", moderator_pin: "9999", announce: false}, {number: "2002", max_participants: 2, announce: false}]\n'


def hear_each_other(*phones):
    """Each hears all the others, and not itself."""
    for phone in phones:
        for other in phones:
            assert other is phone or phone.hears(other.hertz), f"{phone.number} does not hear {other.number}"
        assert phone.hears_nothing_of(phone.hertz), f"{phone.number} hears itself"


def hang_up(*phones):
    for phone in phones:
        phone.hangup()


def participants(pbx, room):
    status, listed = pbx.http("GET", f"/conferences/{room}/participants")
    assert status == 200, listed
    return {item["extension"]: item for item in listed["items"]}


def test_three_hear_the_two_others_and_not_themselves(make_pbx, phones):
    """Acceptance 1 and 2, and a plugin that is exchanged while they talk."""
    pbx = make_pbx(QUIET)
    alice, bob, carol = phones(pbx, "1001", "1002", "1003")
    for phone in (alice, bob, carol):
        phone.dial("2000").established()
    hear_each_other(alice, bob, carol)
    assert len(pbx.events("conference.started")) == 1 and len(pbx.events("conference.participant_joined")) == 3
    pbx.wait_for(lambda: participants(pbx, "2000")["1002"]["talking"], "bob to be seen talking")

    bob.press("1")
    assert bob.hears(PROMPTS["muted"], seconds=0.5)
    assert alice.hears_nothing_of(bob.hertz) and alice.hears(carol.hertz)
    assert participants(pbx, "2000")["1002"]["muted"] is True
    assert bob.hears(alice.hertz)
    assert pbx.http("POST", "/conferences/2000/participants/1002/unmute")[0] == 200
    assert alice.hears(bob.hertz)

    marks = [phone.ear.mark() for phone in (alice, bob, carol)]
    pbx.ctl("plugin", "reload", "conference")
    hear_each_other(alice, bob, carol)
    for phone, mark in zip((alice, bob, carol), marks):
        assert phone.ear.breaks(mark) == [] and phone.ear.gaps(mark) == []

    carol.hangup()
    assert alice.hears(bob.hertz, others=(carol.hertz,)) and bob.hears(alice.hertz, others=(carol.hertz,))
    bob.hangup()
    assert alice.hears(MUSIC, others=(bob.hertz,))
    alice.hangup()
    assert pbx.wait_event("conference.ended")["data"]["peak"] == 3
    assert all(event["data"]["disposition"] == "answered" for event in pbx.events("call.ended"))


def test_pins_moderators_and_a_full_room(make_pbx, phones):
    """Acceptance 3, 4 and 7."""
    pbx = make_pbx(ROOMS)
    alice, bob, carol = phones(pbx, "1001", "1002", "1003")
    bob.dial("2001").established()
    assert bob.hears(PROMPTS["enter_pin"], seconds=0.3)
    for _ in range(3):
        bob.press("1#")
        assert bob.hears(PROMPTS["invalid_pin"], seconds=0.3)
    bob.closed()
    alice.dial("2001").established()
    assert alice.hears(PROMPTS["enter_pin"], seconds=0.3)
    alice.press("9999#")
    pbx.wait_event("conference.participant_joined")
    bob.dial("2001").established()
    assert bob.hears(PROMPTS["enter_pin"], seconds=0.3)
    bob.press("4321#")
    assert alice.hears(bob.hertz) and bob.hears(alice.hertz)
    alice.press("3")
    assert bob.hears(PROMPTS["kicked"], seconds=0.5)
    bob.closed()
    alice.hangup()

    alice.dial("2002").established()
    bob.dial("2002").established()
    assert alice.hears(bob.hertz)
    carol.dial("2002").established()
    assert carol.hears(PROMPTS["conference_full"], seconds=0.5)
    carol.closed()
    hang_up(alice, bob)


def test_a_call_becomes_a_conference_and_somebody_is_invited(make_pbx, talk, phones):
    """A running call is transferred into a room; the room calls a third, who presses 1."""
    pbx = make_pbx(QUIET)
    alice, bob = talk(pbx, "1001", "1002")
    carol = phones(pbx, "1003")
    mark = alice.ear.mark()
    bob.transfer("2000")
    bob.closed()
    assert alice.hears(MUSIC, others=(bob.hertz,))
    assert alice.ear.gaps(mark, over_ms=500) == []
    assert pbx.http("POST", "/conferences/2000/invite", {"number": "1003"})[0] == 202
    carol.answer()
    assert carol.hears(PROMPTS["conference_invitation"], seconds=0.5)
    carol.press("1")
    hear_each_other(alice, carol)
    hang_up(alice, carol)


def test_codecs_may_differ_and_what_arrives_is_one_stream(make_pbx, phones):
    pbx = make_pbx(QUIET)
    alice = phones(pbx, "1001", codecs="PCMU/8000/1")
    bob = phones(pbx, "1002", codecs="PCMA/8000/1")
    alice.dial("2000").established()
    bob.dial("2000").established()
    assert alice.hears(bob.hertz) and bob.hears(alice.hertz)
    carol = phones(pbx, "1003")
    mark = alice.ear.mark()
    carol.dial("2000").established()
    assert alice.hears(carol.hertz)
    carol.hangup()
    assert alice.hears(bob.hertz, others=(carol.hertz,))
    assert alice.ear.breaks(mark) == [] and alice.ear.gaps(mark) == []
    assert {packet.kind for packet in alice.ear.packets[mark:]} == {PCMU}

    def is_as_loud():
        levels = [median(windows_db(phone.listen(1), other.hertz)) for phone, other in ((alice, bob), (bob, alice))]
        return abs(levels[0] - levels[1]) < 1
    pbx.wait_for(is_as_loud, "both to be as loud, the phones' own pauses, and the machine's, apart")
    hang_up(alice, bob)


def test_a_crash_ends_the_records_of_who_was_in(make_pbx, phones):
    pbx = make_pbx(QUIET)
    alice, bob = phones(pbx, "1001", "1002")
    alice.dial("2000").established()
    bob.dial("2000").established()
    assert alice.hears(bob.hertz)
    pbx.kill()
    pbx.start()
    pbx.wait_for(lambda: len(pbx.events("call.ended")) == 2, "both ends")
    assert len(pbx.events("room.left")) == 2
    assert [event["data"]["cause"] for event in pbx.events("call.ended")] == ["system_restart"] * 2


def roster(notify):
    """version, and the users of a conference-info document: who is muted."""
    spaces = {"c": "urn:ietf:params:xml:ns:conference-info"}
    root = XML.fromstring(notify.body)
    assert root.get("state") == "full" and notify.get("Content-Type") == "application/conference-info+xml"
    return int(root.get("version")), {user.get("entity"): user.find("c:endpoint/c:status", spaces).text == "muted-via-focus"
                                      for user in root.findall("c:users/c:user", spaces)}


def test_a_phone_makes_three_of_its_two_calls_while_somebody_watches(make_pbx, talkers):
    """It puts both parties into a room (REFER) and follows; who watches the room (RFC 4575) sees each come, mute and go."""
    pbx = make_pbx(QUIET + '  rooms: [{number: "2001", announce: false, moh_when_alone: false}]\n')
    bob, carol, alice = talkers(pbx, "1002", "1003", "1001")
    lines = [Talker(pbx, "1001", alice.secret, 440) for _ in range(2)]
    console = Watcher(pbx, "1009", pbx.account("1009"))
    try:
        watch = console.watch("2001", "conference")
        assert roster(watch.notify()) == (0, {})
        with ThreadPoolExecutor() as pool:
            for line, party in zip(lines, (bob, carol)):
                answered = pool.submit(party.answer)
                line.dial(party.number)
                answered.result()
        for line in lines:
            assert line.refer("2001")[-1] == 200
        alice.dial("2001")
        assert alice.contact.endswith(">;isfocus") and not any("isfocus" in line.contact for line in lines)  # RFC 4579
        seen, versions = {}, [0]
        while len(seen) < 3:
            version, seen = roster(watch.notify())
            versions.append(version)
        assert versions == list(range(len(versions))) and seen == {f"sip:{number}@pbx.test": False for number in ("1001", "1002", "1003")}
        hear_each_other(alice, bob, carol)
        pbx.ctl("conference", "mute", "2001", "1002")
        while not seen["sip:1002@pbx.test"]:
            seen = roster(watch.notify())[1]
        carol.hangup()
        while "sip:1003@pbx.test" in seen:
            seen = roster(watch.notify())[1]
        hang_up(alice, bob)
    finally:
        for each in (*lines, console):
            each.close()


def test_ten_in_a_room(make_pbx):
    """Who speaks is heard by all, who leaves is missed by all, and nobody loses a packet."""
    pbx = make_pbx(QUIET)
    people = []
    try:
        for at in range(10):
            number = f"11{at:02}"
            people.append(Talker(pbx, number, pbx.account(number), 300 + 150 * at))
            people[-1].speaks = at < 3
            assert people[-1].register().status == 200
            people[-1].dial("2000")
        pbx.wait_for(lambda: len(participants(pbx, "2000")) == 10, "ten to be in")
        marks = [person.ear.mark() for person in people]
        for person in people[3:]:
            assert all(person.hears(speaker.hertz, seconds=0.3) for speaker in people[:3])
        assert people[0].hears(people[1].hertz) and people[0].hears_nothing_of(people[0].hertz)
        pbx.wait_for(lambda: [who for who, person in participants(pbx, "2000").items() if person["talking"]] == ["1100", "1101", "1102"], "three to be seen talking")
        people[2].hangup()
        assert people[9].hears(people[0].hertz, others=(people[2].hertz,))
        for person, mark in zip(people[3:], marks[3:]):
            assert person.ear.breaks(mark) == []
        for person in people[:2] + people[3:]:
            person.hangup()
    finally:
        for person in people:
            person.close()


def test_who_comes_and_goes_is_told_of_by_the_name_that_was_said(make_pbx):
    pbx = make_pbx("conference:\n  announce_names: true\n  moh_when_alone: false\n")
    listener, comer = [Talker(pbx, number, pbx.account(number), hertz) for number, hertz in (("1101", 440), ("1102", 660))]

    def press_hash(person):
        answer = person.inside("INFO", body="Signal=#\r\nDuration=100\r\n", kind="application/dtmf-relay")
        assert answer.status == 200, answer.start

    try:
        assert listener.register().status == comer.register().status == 200
        listener.speaks = False
        listener.dial("2000")
        press_hash(listener)  # it says no name
        pbx.wait_event("conference.participant_joined")
        comer.dial("2000")  # and speaks when the question is over: nothing plays to it any more
        pbx.wait_for(lambda: comer.is_left_alone(1.2), "a name of a second")
        comer.speaks = False
        press_hash(comer)
        assert listener.hears(comer.hertz, seconds=0.6)  # nobody says that now
        pbx.wait_for(lambda: listener.hears_nothing_of(comer.hertz, 0.5), "the name to be over")
        comer.hangup()
        assert listener.hears(comer.hertz, seconds=0.6)
        listener.hangup()
    finally:
        for person in (listener, comer):
            person.close()


@pytest.mark.alone
def test_fifty_in_a_room(make_pbx):
    """Five speak, forty-five send silence. Nobody misses a packet of eight seconds, and who speaks hears all others but not itself."""
    pbx = make_pbx(QUIET)
    # No sum of two of these tones less a third one is a fourth: what the limiter adds is nobody's.
    speakers = [Talker(pbx, str(1100 + at), pbx.account(str(1100 + at)), hertz) for at, hertz in enumerate((400, 550, 1000, 1750, 2050))]
    people = speakers + [Party(pbx, str(1105 + at), pbx.account(str(1105 + at)), "events") for at in range(45)]
    try:
        def come(person):
            assert person.register().status == 200
            person.dial("2000")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(come, people))
        pbx.wait_for(lambda: len(participants(pbx, "2000")) == 50, "fifty to be in")
        marks, waited, watch = [person.ear.mark() for person in people], waited_s(pbx.process.pid, "media-"), Watch()
        pbx.wait_for(lambda: all(len(person.ear.packets) - mark >= 400 for person, mark in zip(people, marks)), "eight seconds of each")
        for person in speakers + people[5::9]:
            def heard():
                samples = person.ear.samples()[-RATE:]
                is_well = person not in speakers or silent_at(samples, person.hertz) or stalls().longest_ms(time.time() - 2) > 200  # then tones break off
                assert is_well, f"{person.number} hears itself"
                return {speaker.hertz for speaker in speakers if power_db(samples, speaker.hertz) > -30}
            others = {speaker.hertz for speaker in speakers if speaker is not person}
            pbx.wait_for(lambda: heard() == others, f"a second of all others for {person.number}")
        for person, mark in zip(people, marks):
            assert person.ear.breaks(mark) == [], person.number
        missed_s = int(re.search(r"^pbx_media_ticks_missed_total (\d+)", pbx.http("GET", "//metrics")[1], re.M)[1]) * 0.005
        kept_s = waited_s(pbx.process.pid, "media-") - waited + stalls().lost_s(watch.began_at)  # in the queue for a core, and with all of the machine
        assert missed_s <= kept_s, "what a worker leaves out it was kept from by the machine"
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda person: person.hangup(), people))
    finally:
        for person in people:
            person.close()
