/* tests/fake/phones.c - phones without SIP: each is one leg's far end, does what the test says, and remembers what it was told */
#include "fake_internal.h"
#include "loop.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

struct phone {
	struct phone *next; /* newest first */
	char name[64], peer[64];
	pbx_leg leg;
	uint8_t recorded; /* what it shows, CORE_RECORD_… */
	uint32_t direction, state, sip_code, cause;
	struct core_media_desc pbx_says; /* its last offer or answer to us */
	bool we_hold, is_held, answered_our_offer;
	uint32_t refused_offer;
	uint32_t transfer_code;
	char shown[160], info_digits[64];
	uint16_t port;
	bool is_known; /* the core has not released it */
};

static struct phone *phones;
static uint16_t next_port = 40000;

static struct phone *phone_new(const char *name, uint32_t direction)
{
	struct phone *phone = calloc(1, sizeof *phone);

	ck_assert_ptr_nonnull(phone);
	(void)snprintf(phone->name, sizeof phone->name, "%s", name);
	phone->direction = direction;
	phone->state = PBX_LEG_NEW;
	phone->port = next_port = (uint16_t)(next_port + 2);
	phone->is_known = true;
	phone->next = phones;
	phones = phone;
	return phone;
}

static struct phone *find(pbx_leg leg)
{
	for (struct phone *phone = phones; phone; phone = phone->next)
		if (phone->leg.id == leg.id)
			return phone;
	ck_abort_msg("no phone has leg %llx", (unsigned long long)leg.id);
}

static struct core_media_desc describe(const struct phone *phone, uint8_t direction)
{
	return (struct core_media_desc){
		.present = true,
		.rtp.in4 = { .sin_family = AF_INET, .sin_port = htons(phone->port), .sin_addr = { htonl(INADDR_LOOPBACK) } },
		.direction = direction,
		.ptime_ms = 20,
		.codec_count = 3,
		.codecs = {
			{ .name = "PCMU", .clock_hz = 8000, .channels = 1, .payload_type = 0 },
			{ .name = "PCMA", .clock_hz = 8000, .channels = 1, .payload_type = 8 },
			{ .name = "telephone-event", .clock_hz = 8000, .channels = 1, .payload_type = 101, .fmtp = "0-16" },
		},
	};
}

/* What we answer to an offer: what it sends we receive, and the other way, unless we hold. */
static uint8_t mirrored(const struct phone *phone, uint8_t direction)
{
	uint8_t ours = (uint8_t)((direction & CORE_SEND ? CORE_RECV : 0) | (direction & CORE_RECV ? CORE_SEND : 0));

	return phone->we_hold ? (uint8_t)(ours & CORE_SEND) : ours;
}

static void hear_desc(struct phone *phone, const struct core_media_desc *desc)
{
	if (desc && desc->present)
		phone->pbx_says = *desc;
}

static void over(struct phone *phone, uint32_t sip_code, uint32_t cause)
{
	phone->state = PBX_LEG_ENDED;
	phone->sip_code = sip_code;
	phone->cause = cause;
}

/* ---- what the core tells a phone ---- */

/* "sip:1001@phone1.fake" rings a phone called 1001; a peer is sent a number. */
static int phone_invite(pbx_leg leg, const struct core_invite *invite, void **ret_dialog)
{
	const char *user = strchr(invite->target, ':');
	char name[64];

	if (invite->peer[0]) {
		int err = fake_peer_enter(invite->peer, invite->flags);
		if (err != PBX_OK)
			return err;
	}
	ck_assert_msg(user != NULL || invite->peer[0], "not a URI: %s", invite->target);
	user = user ? user + 1 : invite->target;
	(void)snprintf(name, sizeof name, "%.*s", (int)strcspn(user, "@"), user);
	struct phone *phone = phone_new(name, PBX_OUTBOUND);
	(void)snprintf(phone->peer, sizeof phone->peer, "%s", invite->peer);
	phone->leg = leg;
	(void)snprintf(phone->shown, sizeof phone->shown, "%s%s%s", invite->from_number, invite->from_name[0] ? " " : "",
		       invite->from_name);
	hear_desc(phone, invite->offer);
	*ret_dialog = phone;
	return PBX_OK;
}

static int phone_ring(void *dialog, const struct core_media_desc *early)
{
	struct phone *phone = dialog;

	if (phone->state > PBX_LEG_RINGING)
		return PBX_ESTATE;
	phone->state = PBX_LEG_RINGING;
	hear_desc(phone, early);
	return PBX_OK;
}

static int phone_answer(void *dialog, const struct core_media_desc *answer)
{
	struct phone *phone = dialog;

	if (phone->state > PBX_LEG_RINGING)
		return PBX_ESTATE;
	phone->state = PBX_LEG_ANSWERED;
	hear_desc(phone, answer);
	return PBX_OK;
}

static int phone_reject(void *dialog, uint32_t sip_code, uint32_t cause, const char *text)
{
	(void)text;
	over(dialog, sip_code, cause);
	return PBX_OK;
}

static int phone_redirect(void *dialog, const char *contact)
{
	struct phone *phone = dialog;

	(void)snprintf(phone->shown, sizeof phone->shown, "%s", contact);
	over(phone, 302, PBX_CAUSE_NORMAL);
	return PBX_OK;
}

static void phone_hangup(void *dialog, uint32_t cause)
{
	struct phone *phone = dialog;

	over(phone, phone->direction == PBX_INBOUND && phone->state < PBX_LEG_ANSWERED ? core_cause_to_sip(cause) : 0, cause);
}

static void answer_update(void *context, void *data)
{
	struct phone *phone = data;
	struct core_media_desc answer = describe(phone, mirrored(phone, phone->pbx_says.direction));

	(void)context;
	if (phone->state != PBX_LEG_ENDED)
		core_leg_on_update_done(phone->leg, PBX_OK, &answer);
}

static int phone_update(void *dialog, const struct core_media_desc *offer)
{
	struct phone *phone = dialog;

	if (phone->state != PBX_LEG_ANSWERED)
		return PBX_ESTATE;
	hear_desc(phone, offer);
	phone->is_held = !(offer->direction & CORE_RECV);
	return core_post(NULL, answer_update, NULL, phone, NULL);
}

static int phone_accept_offer(void *dialog, const struct core_media_desc *answer)
{
	struct phone *phone = dialog;

	hear_desc(phone, answer);
	phone->answered_our_offer = true;
	return PBX_OK;
}

static int phone_refuse_offer(void *dialog, uint32_t sip_code)
{
	struct phone *phone = dialog;

	phone->refused_offer = sip_code;
	return PBX_OK;
}

static int phone_send_digit(void *dialog, char digit, uint32_t duration_ms)
{
	struct phone *phone = dialog;
	size_t length = strlen(phone->info_digits);

	(void)duration_ms;
	if (length + 1 < sizeof phone->info_digits)
		phone->info_digits[length] = digit;
	return PBX_OK;
}

static void phone_transfer_progress(void *dialog, uint32_t sip_code)
{
	struct phone *phone = dialog;

	phone->transfer_code = sip_code;
}

static void phone_set_identity(void *dialog, const char *number, const char *name)
{
	struct phone *phone = dialog;

	(void)snprintf(phone->shown, sizeof phone->shown, "%s%s%s", number, name[0] ? " " : "", name);
}

static bool phone_set_recorded(void *dialog, uint8_t record)
{
	struct phone *phone = dialog;
	bool changes = phone->recorded != record;

	phone->recorded = record;
	return changes;
}

static void phone_release(void *dialog)
{
	struct phone *phone = dialog;

	phone->is_known = false;
}

static void phone_name_dialog(const void *dialog, const char **ret_id, const char **ret_local_tag, const char **ret_remote_tag)
{
	const struct phone *phone = dialog;

	*ret_id = fake_format("fake-%u", phone->port);
	*ret_local_tag = *ret_remote_tag = "";
}

const struct core_leg_driver fake_leg_driver = {
	.name = "fake",
	.invite = phone_invite,
	.ring = phone_ring,
	.answer = phone_answer,
	.reject = phone_reject,
	.redirect = phone_redirect,
	.hangup = phone_hangup,
	.update = phone_update,
	.accept_offer = phone_accept_offer,
	.refuse_offer = phone_refuse_offer,
	.send_digit = phone_send_digit,
	.transfer_progress = phone_transfer_progress,
	.set_identity = phone_set_identity,
	.set_recorded = phone_set_recorded,
	.release = phone_release,
	.name_dialog = phone_name_dialog,
};

/* ---- what a test makes a phone do ---- */

static int call_in_from(struct fake_pbx *pbx, const char *address, const char *who, const char *account, const char *peer,
			const char *number, pbx_leg *ret_leg)
{
	struct phone *phone = phone_new(who, PBX_INBOUND);
	struct core_media_desc offer = describe(phone, CORE_SEND | CORE_RECV);
	const struct core_incoming incoming = {
		.dialled = number,
		.from_number = who,
		.from_name = who,
		.account = account,
		.device = "Fake phone",
		.address = address,
		.protocol_id = fake_format("fake-%u", phone->port),
		.max_forwards = 70,
		.offer = &offer,
		.peer = peer,
	};

	(void)snprintf(phone->peer, sizeof phone->peer, "%s", peer);
	int err = core_leg_on_incoming(&fake_leg_driver, phone, &incoming, &phone->leg);

	if (err != PBX_OK) {
		phone->state = PBX_LEG_ENDED;
		phone->is_known = false;
	}
	fake_settle(pbx);
	*ret_leg = phone->leg;
	return err;
}

static pbx_leg call_in(struct fake_pbx *pbx, const char *who, const char *account, const char *peer, const char *number)
{
	pbx_leg leg;

	ck_assert_int_eq(call_in_from(pbx, "192.0.2.7:5060", who, account, peer, number, &leg), PBX_OK);
	return leg;
}

int fake_try_dial(struct fake_pbx *pbx, const char *address, const char *account, const char *peer, const char *number)
{
	pbx_leg leg;

	return call_in_from(pbx, address, account[0] ? account : "stranger", account, peer, number, &leg);
}

pbx_leg fake_dial(struct fake_pbx *pbx, const char *who, const char *number)
{
	return call_in(pbx, who, who, "", number);
}

pbx_leg fake_dial_from_outside(struct fake_pbx *pbx, const char *caller, const char *number)
{
	return call_in(pbx, caller, "", "", number);
}

pbx_leg fake_dial_by_peer(struct fake_pbx *pbx, const char *peer, const char *caller, const char *number)
{
	return call_in(pbx, caller, "", peer, number);
}

const char *fake_peer_of(struct fake_pbx *pbx, pbx_leg leg)
{
	(void)pbx;
	return find(leg)->peer;
}

uint32_t fake_phones_of(const char *peer, uint32_t direction)
{
	uint32_t count = 0;

	for (const struct phone *phone = phones; phone; phone = phone->next)
		count += phone->direction == direction && phone->state != PBX_LEG_ENDED && strcmp(phone->peer, peer) == 0;
	return count;
}

static const struct phone *find_named(const char *who)
{
	const struct phone *phone = phones;

	while (phone && (phone->state == PBX_LEG_ENDED || strcmp(phone->name, who)))
		phone = phone->next;
	return phone;
}

pbx_leg fake_leg(struct fake_pbx *pbx, const char *who)
{
	const struct phone *phone = find_named(who);

	(void)pbx;
	ck_assert_msg(phone != NULL, "%s has no call", who);
	return phone->leg;
}

bool fake_has_leg(struct fake_pbx *pbx, const char *who)
{
	(void)pbx;
	return find_named(who);
}

void fake_ring(struct fake_pbx *pbx, pbx_leg leg)
{
	struct phone *phone = find(leg);

	ck_assert_uint_eq(phone->direction, PBX_OUTBOUND);
	ck_assert_uint_eq(phone->state, PBX_LEG_NEW);
	phone->state = PBX_LEG_RINGING;
	core_leg_on_ringing(leg, 180, NULL);
	fake_settle(pbx);
}

void fake_answer(struct fake_pbx *pbx, pbx_leg leg)
{
	struct phone *phone = find(leg);
	struct core_media_desc answer = describe(phone, mirrored(phone, phone->pbx_says.direction));

	ck_assert_uint_eq(phone->direction, PBX_OUTBOUND);
	ck_assert_msg(phone->state < PBX_LEG_ANSWERED, "%s does not ring", phone->name);
	if (phone->peer[0])
		fake_peer_attempted(phone->peer, 200, phone->state == PBX_LEG_RINGING);
	phone->state = PBX_LEG_ANSWERED;
	core_leg_on_answered(leg, &answer);
	fake_settle(pbx);
}

void fake_refuse(struct fake_pbx *pbx, pbx_leg leg, uint32_t sip_code)
{
	struct phone *phone = find(leg);

	ck_assert_uint_eq(phone->direction, PBX_OUTBOUND);
	ck_assert_msg(phone->state < PBX_LEG_ANSWERED, "%s does not ring", phone->name);
	if (phone->peer[0])
		fake_peer_attempted(phone->peer, sip_code, phone->state == PBX_LEG_RINGING);
	sip_code = sip_code ? sip_code : 408;
	over(phone, sip_code, core_cause_from_sip(sip_code));
	core_leg_on_ended(leg, sip_code, phone->cause, true, "");
	fake_settle(pbx);
}

void fake_hangup(struct fake_pbx *pbx, pbx_leg leg)
{
	struct phone *phone = find(leg);

	ck_assert_msg(phone->state != PBX_LEG_ENDED, "%s has hung up already", phone->name);
	over(phone, 0, PBX_CAUSE_NORMAL);
	core_leg_on_ended(leg, 0, PBX_CAUSE_NORMAL, true, "");
	fake_settle(pbx);
}

static struct fake_stream *stream_of(const struct phone *phone)
{
	struct fake_stream *stream = phone->state != PBX_LEG_ENDED ? fake_stream_at(&phone->pbx_says.rtp) : NULL;

	ck_assert_msg(stream != NULL, "%s has no media", phone->name);
	return stream;
}

void fake_key_down(struct fake_pbx *pbx, pbx_leg leg, char digit)
{
	core_media_on_key_down(stream_of(find(leg))->handle, digit, CORE_DIGITS_EVENTS);
	fake_settle(pbx);
}

void fake_digits(struct fake_pbx *pbx, pbx_leg leg, const char *digits)
{
	const struct phone *phone = find(leg);

	for (; *digits && phone->state == PBX_LEG_ANSWERED; digits++) {
		core_media_on_key_down(stream_of(phone)->handle, *digits, CORE_DIGITS_EVENTS);
		core_media_on_digit(stream_of(phone)->handle, *digits, 100, CORE_DIGITS_EVENTS);
		fake_settle(pbx);
	}
	ck_assert_msg(!*digits, "%s was hung up before it could dial %s", phone->name, digits);
}

uint32_t fake_recorded(pbx_leg leg)
{
	return find(leg)->recorded;
}

void fake_wishes_recording(struct fake_pbx *pbx, pbx_leg leg, uint32_t wish)
{
	struct phone *phone = find(leg);
	struct core_media_desc offer = describe(phone, CORE_SEND | CORE_RECV);

	offer.record_wish = (uint8_t)wish;
	core_leg_on_offer(leg, &offer);
	fake_settle(pbx);
}

void fake_hold(struct fake_pbx *pbx, pbx_leg leg, bool on)
{
	struct phone *phone = find(leg);
	struct core_media_desc offer = describe(phone, on ? CORE_SEND : CORE_SEND | CORE_RECV);

	ck_assert_uint_eq(phone->state, PBX_LEG_ANSWERED);
	phone->we_hold = on;
	phone->answered_our_offer = false;
	core_leg_on_offer(leg, &offer);
	fake_settle(pbx);
	ck_assert_msg(phone->answered_our_offer, "the re-INVITE of %s was refused: %u", phone->name, phone->refused_offer);
}

void fake_change_codec(struct fake_pbx *pbx, pbx_leg leg, const char *codec)
{
	struct core_media_desc offer = describe(find(leg), CORE_SEND | CORE_RECV);

	if (strcmp(codec, offer.codecs[0].name) != 0)
		offer.codecs[0] = offer.codecs[1];
	ck_assert_str_eq(offer.codecs[0].name, codec);
	offer.codecs[1] = offer.codecs[2];
	offer.codec_count = 2;
	core_leg_on_offer(leg, &offer);
	fake_settle(pbx);
}

int fake_transfer(struct fake_pbx *pbx, pbx_leg leg, const char *target)
{
	int result = core_leg_on_transfer(leg, target, (pbx_leg){ 0 });

	fake_settle(pbx);
	return result;
}

int fake_transfer_to(struct fake_pbx *pbx, pbx_leg leg, pbx_leg replaces)
{
	int result = core_leg_on_transfer(leg, find(replaces)->name, replaces);

	fake_settle(pbx);
	return result;
}

/* ---- what a phone saw ---- */

uint32_t fake_state(struct fake_pbx *pbx, pbx_leg leg)
{
	(void)pbx;
	return find(leg)->state;
}

uint32_t fake_cause(struct fake_pbx *pbx, pbx_leg leg)
{
	const struct phone *phone = find(leg);

	(void)pbx;
	ck_assert_msg(phone->state == PBX_LEG_ENDED, "the call of %s has not ended", phone->name);
	return phone->cause;
}

uint32_t fake_sip_code(struct fake_pbx *pbx, pbx_leg leg)
{
	(void)pbx;
	return find(leg)->sip_code;
}

bool fake_is_held(struct fake_pbx *pbx, pbx_leg leg)
{
	(void)pbx;
	return find(leg)->is_held;
}

uint32_t fake_transfer_code(struct fake_pbx *pbx, pbx_leg leg)
{
	(void)pbx;
	return find(leg)->transfer_code;
}

const char *fake_shown(struct fake_pbx *pbx, pbx_leg leg)
{
	(void)pbx;
	return find(leg)->shown;
}

/* ---- what a phone hears ---- */

static const char *name_of(const struct fake_stream *stream)
{
	for (const struct phone *phone = phones; phone; phone = phone->next)
		if (phone->state != PBX_LEG_ENDED && fake_stream_at(&phone->pbx_says.rtp) == stream)
			return phone->name;
	return "nobody";
}

void fake_say(struct fake_pbx *pbx, pbx_leg leg, uint32_t rate_hz, int16_t *samples, uint32_t count)
{
	(void)pbx;
	fake_stream_filter(stream_of(find(leg)), true, rate_hz, samples, count);
}

void fake_let_hear(struct fake_pbx *pbx, pbx_leg leg, uint32_t rate_hz, int16_t *samples, uint32_t count)
{
	(void)pbx;
	fake_stream_filter(stream_of(find(leg)), false, rate_hz, samples, count);
}

bool fake_is_filtered(struct fake_pbx *pbx, pbx_leg leg)
{
	(void)pbx;
	return stream_of(find(leg))->filter.owner != NULL;
}

void fake_tapped(struct fake_pbx *pbx, pbx_leg leg, const int16_t *samples, uint32_t count)
{
	fake_stream_tapped(stream_of(find(leg)), samples, count);
	fake_settle(pbx);
}

uint32_t fake_injected(struct fake_pbx *pbx, pbx_leg leg, int16_t *ret_samples, uint32_t count)
{
	uint32_t got = fake_stream_injected(stream_of(find(leg)), ret_samples, count);

	fake_settle(pbx);
	return got;
}

bool fake_detects(struct fake_pbx *pbx, pbx_leg leg, const struct pbx_detected *found)
{
	bool told = fake_stream_detects(stream_of(find(leg)), found);

	fake_settle(pbx);
	return told;
}

const char *fake_hearing(struct fake_pbx *pbx, pbx_leg leg)
{
	const struct phone *phone = find(leg);
	const struct fake_stream *stream = phone->state != PBX_LEG_ENDED ? fake_stream_at(&phone->pbx_says.rtp) : NULL;

	(void)pbx;
	return stream ? fake_stream_plays(stream, name_of) : "nothing";
}

void fake_finish_fax(struct fake_pbx *pbx, pbx_leg leg, int32_t error, const char *reason, uint32_t pages)
{
	fake_fax_finish(stream_of(find(leg))->handle, error, reason, pages);
	fake_settle(pbx);
}

uint32_t fake_plays_begun(struct fake_pbx *pbx, pbx_leg leg)
{
	(void)pbx;
	return stream_of(find(leg))->plays_begun;
}

struct pbx_media_state fake_playing(struct fake_pbx *pbx, pbx_leg leg)
{
	(void)pbx;
	return fake_stream_playing(stream_of(find(leg)));
}

bool fake_hears(struct fake_pbx *pbx, pbx_leg leg, const char *what)
{
	const char *hears = fake_hearing(pbx, leg);

	if (!strncmp(what, "prompt:/", 8)) {
		const struct fake_stream *stream = stream_of(find(leg));

		return stream->plays == CORE_PLAY_FILE && !strcmp(stream->play_text, what + 7);
	}
	return !strcmp(hears, what);
}

bool fake_is_masked(struct fake_pbx *pbx, pbx_leg leg)
{
	(void)pbx;
	return stream_of(find(leg))->masked;
}

bool fake_hears_self(struct fake_pbx *pbx, pbx_leg leg)
{
	return fake_hears(pbx, leg, "self");
}

bool fake_hears_leg(struct fake_pbx *pbx, pbx_leg leg, pbx_leg other)
{
	(void)pbx;
	return fake_stream_hears(stream_of(find(leg)), stream_of(find(other)));
}

void fake_finish_in_room(struct fake_pbx *pbx, pbx_leg member)
{
	fake_stream_finish_in_room(stream_of(find(member)));
	fake_settle(pbx);
}

void fake_speak(struct fake_pbx *pbx, pbx_leg member, bool on)
{
	fake_stream_speak(stream_of(find(member)), on);
	fake_settle(pbx);
}

bool fake_talk(struct fake_pbx *pbx, pbx_leg a, pbx_leg b)
{
	return fake_hears_leg(pbx, a, b) && fake_hears_leg(pbx, b, a);
}

struct core_stream_stats *fake_audio(struct fake_pbx *pbx, pbx_leg leg)
{
	(void)pbx;
	return fake_stream_audio(stream_of(find(leg)));
}

const char *fake_digits_heard(struct fake_pbx *pbx, pbx_leg leg)
{
	const struct phone *phone = find(leg);

	(void)pbx;
	return fake_format("%s%s", stream_of(phone)->digits, phone->info_digits);
}

static void end_play(struct fake_pbx *pbx, pbx_leg leg, uint32_t how)
{
	struct fake_stream *stream = stream_of(find(leg));

	ck_assert_msg(stream->plays == CORE_PLAY_FILE || stream->plays == CORE_PLAY_TONE, "%s hears no prompt but %s", find(leg)->name,
		      fake_hearing(pbx, leg));
	fake_stream_play_over(stream, how);
	fake_settle(pbx);
}

void fake_finish_prompt(struct fake_pbx *pbx, pbx_leg leg)
{
	end_play(pbx, leg, PBX_MEDIA_FINISHED);
}

void fake_fail_prompt(struct fake_pbx *pbx, pbx_leg leg)
{
	end_play(pbx, leg, PBX_MEDIA_FAILED);
}

void fake_lose_media(struct fake_pbx *pbx, pbx_leg leg)
{
	core_media_on_silence(stream_of(find(leg))->handle, 30000);
	fake_settle(pbx);
}

/* ---- the end ---- */

void fake_phones_hang_up(void)
{
	for (struct phone *phone = phones; phone; phone = phone->next) {
		if (phone->state == PBX_LEG_ENDED)
			continue;
		over(phone, phone->direction == PBX_OUTBOUND && phone->state < PBX_LEG_ANSWERED ? 480 : 0, PBX_CAUSE_NORMAL);
		core_leg_on_ended(phone->leg, phone->sip_code, PBX_CAUSE_NORMAL, true, "");
	}
}

void fake_phones_fini(void)
{
	while (phones) {
		struct phone *phone = phones;

		ck_assert_msg(!phone->is_known, "the core has not let go of the call of %s", phone->name);
		phones = phone->next;
		free(phone);
	}
}
