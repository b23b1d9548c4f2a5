"""Offers as they come from phones of all kinds, and as nobody should write them: each answer is judged by the books, with eyes of its own.

The judge below knows RFC 8866 and RFC 3264 and nothing of our code."""
import re

import pytest
from machine import Watch
from sip_client import SipClient

HEAD = "v=0\r\no=alice 2890844526 2890844526 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
AUDIO = "m=audio 49170 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
VIDEO = "m=video 51372 RTP/AVP 31 32\r\na=rtpmap:31 H261/90000\r\na=rtpmap:32 MPV/90000\r\n"
STATIC = {0: "PCMU/8000", 3: "GSM/8000", 8: "PCMA/8000", 9: "G722/8000", 18: "G729/8000", 13: "CN/8000"}
OPPOSITE = {"sendrecv": "sendrecv sendonly recvonly inactive", "sendonly": "recvonly inactive", "recvonly": "sendonly inactive", "inactive": "inactive"}


# ---- the judge -----------------------------------------------------------------------------

class Sdp:
    """A session description: .media with .kind, .port, .proto, .types and .attributes, in the order of the lines."""

    def __init__(self, text, strict):
        lines = text.split("\r\n") if strict else text.splitlines()
        if strict:
            assert text.endswith("\r\n") and "\n" not in text.replace("\r\n", "")
            lines.pop()
            assert all(re.fullmatch(r"[a-z]=\S.*", line) for line in lines), text
        self.media, self.session = [], []
        for line in lines:
            if line.startswith("m="):
                self.media.append(Media(line[2:]))
            else:
                (self.media[-1].lines if self.media else self.session).append(line)

    def judge(self):
        kinds = "".join(line[0] for line in self.session)
        assert re.fullmatch(r"vosi?u?e*p*c?b*(tr*)+z?k?a*", kinds), kinds
        assert self.session[0] == "v=0"
        assert re.fullmatch(r"o=\S+ \d+ \d+ IN (IP4 [\d.]+|IP6 [\da-fA-F:]+)", self.session[1]), self.session[1]
        for media in self.media:
            assert re.fullmatch(r"i?c*b*k?a*", "".join(line[0] for line in media.lines))
            assert any(line.startswith("c=") for line in self.session + media.lines)
            media.judge()


class Media:
    def __init__(self, line):
        self.kind, port, self.proto, *self.types = line.split()
        self.port, self.lines = int(port.split("/")[0]), []

    def values(self, name):
        return [line[2:].partition(":")[2] for line in self.lines if re.fullmatch(rf"a={name}(:.*)?", line)]

    def names(self):
        given = {value.split()[0]: value.split()[1].lower() for value in self.values("rtpmap")}
        return {kind: given.get(kind, STATIC.get(int(kind), "").lower()) for kind in self.types if kind.isdigit()}

    def direction(self):
        found = [line[2:] for line in self.lines if line[2:] in OPPOSITE]
        assert len(found) <= 1
        return found[0] if found else "sendrecv"

    def judge(self):
        if self.port == 0:
            return
        assert 0 < self.port < 65536 and len(set(self.types)) == len(self.types)
        for name in ("rtpmap", "fmtp"):
            kinds = [value.split()[0] for value in self.values(name)]
            assert set(kinds) <= set(self.types) and len(set(kinds)) == len(kinds)
        assert all(re.fullmatch(r"[!#-'*+\-.\w^`{|}~/]+/\d+(/\d+)?", value.split()[1]) for value in self.values("rtpmap"))
        assert all(self.names().values()), f"a type that nobody can know: {self.types}"
        self.direction()


def judge_answer(offer, answer):
    """RFC 3264 6."""
    answer.judge()
    assert [(media.kind, media.proto) for media in answer.media] == [(media.kind, media.proto) for media in offer.media]
    for asked, said in zip(offer.media, answer.media):
        if said.port == 0:
            continue
        assert asked.port > 0 and set(said.types) <= set(asked.types)
        assert all(asked.names()[kind] == name for kind, name in said.names().items())
        session_wide = [line[2:] for line in offer.session if line[2:] in OPPOSITE]
        wanted = asked.direction() if any(line[2:] in OPPOSITE for line in asked.lines) or not session_wide else session_wide[0]
        assert said.direction() in OPPOSITE[wanted].split(), (wanted, said.direction())


# ---- offers --------------------------------------------------------------------------------

def refused(line):
    return re.sub(r"^(m=\S+) \d+", r"\1 0", line)


# The answer's accepted line, or the status.
OFFERS = {
    # RFC 4317
    "audio and video": (HEAD + AUDIO.replace("0 8", "0 8 97") + "a=rtpmap:97 iLBC/8000\r\n" + VIDEO, 0),
    "audio and video, each with bandwidth": (HEAD + AUDIO.replace("a=", "b=AS:64\r\na=", 1) + VIDEO.replace("a=", "b=AS:384\r\na=", 1), 0),
    "two audio lines, one of keys alone": (HEAD + AUDIO + "m=audio 49172 RTP/AVP 98\r\na=rtpmap:98 telephone-event/8000\r\na=sendonly\r\n", 0),
    "two audio lines with voice": (HEAD + AUDIO + AUDIO.replace("49170", "49172"), 0),
    "video refused": (HEAD + AUDIO + refused(VIDEO), 0),
    "the first of two audio lines refused": (HEAD + refused(AUDIO) + AUDIO, 1),
    "held": (HEAD + AUDIO + "a=sendonly\r\n", 0),
    "listening": (HEAD + AUDIO + "a=recvonly\r\n", 0),
    "inactive": (HEAD + AUDIO + "a=inactive\r\n", 0),
    "held by address": (HEAD.replace("c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0") + AUDIO, 0),
    "video first": (HEAD + VIDEO + AUDIO, 1),
    "video and audio and application": (HEAD + VIDEO + AUDIO + "m=application 32416 udp wb\r\n", 1),
    # Formats
    "numbers of one's own": (HEAD + "m=audio 4000 RTP/AVP 107 96\r\na=rtpmap:107 opus/48000/2\r\na=rtpmap:96 telephone-event/48000\r\na=fmtp:96 0-15\r\n", 0),
    "static types without names": (HEAD + "m=audio 4000 RTP/AVP 8 0 18 101\r\na=rtpmap:101 telephone-event/8000\r\n", 0),
    "a static number with another name": (HEAD + "m=audio 4000 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/16000\r\na=rtpmap:8 PCMA/8000\r\n", 0),
    "names in capitals and not": (HEAD + "m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 pcma/8000\r\n", 0),
    "a dynamic number that nobody named beside a good one": (HEAD + "m=audio 4000 RTP/AVP 120 8\r\n", 0),
    "the same number twice": (HEAD + "m=audio 4000 RTP/AVP 8 8 0\r\n", 0),
    "G.729 without annex B": (HEAD + "m=audio 4000 RTP/AVP 18\r\na=fmtp:18 annexb=no\r\n", 0),
    "packets of 30 ms, at most 60": (HEAD + AUDIO + "a=ptime:30\r\na=maxptime:60\r\n", 0),
    "twenty codecs, the last one ours": (HEAD + "m=audio 4000 RTP/AVP " + " ".join(map(str, range(96, 115))) + " 8\r\n" +
                                         "".join(f"a=rtpmap:{n} x-codec-{n}/8000\r\n" for n in range(96, 115)), 0),
    "sixty codecs, the last one ours": (HEAD + "m=audio 4000 RTP/AVP " + " ".join(map(str, range(20, 79))) + " 8\r\n" +
                                        "".join(f"a=rtpmap:{n} x-codec-{n}/8000\r\n" for n in range(20, 79)), 0),
    # Forms
    "line ends without carriage return": ((HEAD + AUDIO).replace("\r\n", "\n"), 0),
    "no line end at the end": ((HEAD + AUDIO)[:-2], 0),
    "direction for the whole session": (HEAD + "a=sendonly\r\n" + AUDIO, 0),
    "direction of the line wins over the session's": (HEAD + "a=sendonly\r\n" + AUDIO + "a=sendrecv\r\n", 0),
    "an address of the line's own": (HEAD.replace("c=IN IP4 127.0.0.1\r\n", "") + AUDIO.replace("a=", "c=IN IP4 127.0.0.1\r\na=", 1), 0),
    "IPv6": (HEAD.replace("IP4 127.0.0.1", "IP6 ::1") + AUDIO, 0),
    "unknown attributes and lines of all kinds": (HEAD.replace("s=-\r\n", "s=a call\r\ni=about\r\nu=http://example.com\r\ne=a@example.com\r\np=+1 617 555-6011\r\n")
                                                  + "a=tool:x\r\na=X-unknown:;;\r\n" + AUDIO + "a=X-other\r\na=candidate\r\na=rtcp-fb:* nack\r\n", 0),
    "a port range": (HEAD + AUDIO.replace("49170", "49170/2"), 0),
    "a name for an origin and no digits in it": (HEAD.replace("alice", "-"), 488),
    "numbers of 64 bits": (HEAD.replace("2890844526", "18446744073709551615") + AUDIO, 0),
    # Nothing for us
    "video alone": (HEAD + VIDEO, 488),
    "every line refused": (HEAD + refused(AUDIO), 488),
    "codecs of others": (HEAD + "m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 AMR/8000\r\n", 488),
    "keys without a voice": (HEAD + "m=audio 4000 RTP/AVP 101\r\na=rtpmap:101 telephone-event/8000\r\n", 488),
    "an address by name": (HEAD.replace("c=IN IP4 127.0.0.1", "c=IN IP4 media.example.com") + AUDIO, 488),
    "a transport that is none of ours": (HEAD + AUDIO.replace("RTP/AVP", "TCP/MSRP"), 488),
    # No SDP
    "nothing but a version": ("v=0\r\n", 400),
    "another version": (HEAD.replace("v=0", "v=1") + AUDIO, 400),
    "no origin": (re.sub("o=.*\r\n", "", HEAD) + AUDIO, 400),
    "a line that is none": (HEAD + "this is no line\r\n" + AUDIO, 400),
    "a port that is no number": (HEAD + AUDIO.replace("49170", "http"), 400),
    "a port beyond all ports": (HEAD + AUDIO.replace("49170", "70000"), 400),
    "cut off in the middle of the media line": (HEAD + "m=audio 491", 400),
    "binary": ("v=0\r\n\x00\x01\x02\xff", 400),
}


@pytest.fixture(scope="module")
def caller(tmp_path_factory):
    """Calls a room, which answers whoever comes."""
    from pbx import Pbx
    pbx = Pbx(tmp_path_factory.mktemp("offers") / "pbx").start()
    made = SipClient(pbx, "1001", pbx.account("1001"))
    assert made.register().status == 200
    yield made
    made.close()
    pbx.stop()


@pytest.mark.parametrize("name", OFFERS)
def test_an_offer_gets_the_answer_that_it_deserves(caller, name):
    text, expected = OFFERS[name]
    asked = Watch()
    answer = caller.invite("2001", text)
    took_s = asked.took_s()
    if answer.status == 200:
        assert caller.bye(answer).status == 200
        offer = Sdp(text, strict=False)
        said = Sdp(answer.body, strict=True)
        judge_answer(offer, said)
        assert [media.port > 0 for media in said.media] == [index == expected for index in range(len(said.media))]
    else:
        assert answer.status == expected
        assert answer.status == 400 or re.match(r'30[45] \S+ ".+"', answer.get("Warning")), answer.headers
        assert took_s < 1, "at once, also under sanitizers"
