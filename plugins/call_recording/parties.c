/*
 * parties - who speaks in the two streams of a recording session: forks of their legs, and their names in the metadata
 *
 * A conversation is what each party says, so each stream is a fork of one leg (PBX_FORK_SAYS), and music on hold is in none. Of somebody in a room of many the second
 * stream is what that party hears. Streams keep their places, labels and ids; who is heard in them changes with transfers.
 */
#include "siprec.h"
#include <ctype.h>
#include <string.h>

/* ---- names ---- */

/* What RFC 3261 25.1 allows in the user part of a URI, the rest as %XX. */
static void add_user(char *text, size_t size, const char *user)
{
	size_t used = strlen(text);

	for (; *user && used + 4 < size; user++) {
		bool plain = isalnum((unsigned char)*user) || strchr("-_.!~*'()&=+$,;?/", *user);

		used += (size_t)snprintf(text + used, size - used, plain ? "%c" : "%%%02X", (unsigned char)*user);
	}
}

/* "" is somebody who does not want to be known (RFC 3323 4.1.1.3). */
static void write_aor(const struct plugin *plugin, const char *user, char *ret_aor, size_t size)
{
	char text[128] = "sip:"; /* of a longer name the beginning, never half an escape */

	add_user(text, sizeof text, user);
	(void)snprintf(ret_aor, size, "%s@%.60s", user[0] ? text : "sip:anonymous", user[0] ? plugin->sip->domain() : "anonymous.invalid");
}

static void name_party(struct siprec *siprec, uint32_t at, const char *room)
{
	const struct plugin *plugin = siprec->active->plugin;
	struct party *party = &siprec->parties[at];
	struct pbx_leg_info info = { .size = sizeof info };
	bool is_known = plugin->calls->info(party->leg, &info) == PBX_OK; /* or it has just gone, and its fork will not open */
	const char *user = !is_known ? "" : info.account[0] ? info.account : info.number;

	party->about = (struct metadata_party){ .stream = at, .since_us = plugin->host->wall_us(plugin->host) };
	metadata_id(party->about.participant_id);
	write_aor(plugin, room ? room : user, party->about.aor, sizeof party->about.aor);
	if (!room && is_known && !info.withheld)
		(void)snprintf(party->about.name, sizeof party->about.name, "%s", info.name);
	(void)snprintf(siprec->call_ids[at], sizeof siprec->call_ids[at], "%s", !room && is_known ? info.protocol_id : "");
}

/* ---- coming and going ---- */

void party_come(struct siprec *siprec, uint32_t at, pbx_leg leg, const char *room)
{
	struct party *party = &siprec->parties[at];

	party->siprec = siprec;
	party->leg = leg;
	party->what = room ? PBX_FORK_HEARS : PBX_FORK_SAYS;
	party->is_there = party->is_news = true;
	name_party(siprec, at, room);
}

static void close_fork(struct party *party)
{
	const struct plugin *plugin = party->siprec->active->plugin;

	if (party->fork.id)
		(void)plugin->forks->close(party->fork); /* it may be gone */
	party->fork = (pbx_fork){ 0 };
}

/* Whoever came and went between two offers was never there. */
void party_go(struct siprec *siprec, uint32_t at)
{
	const struct plugin *plugin = siprec->active->plugin;
	struct party *party = &siprec->parties[at];

	close_fork(party);
	party->about.until_us = plugin->host->wall_us(plugin->host);
	if (!party->is_news && siprec->gone_count == MOST_GONE)
		siprec->tells_all = true;
	else if (!party->is_news)
		siprec->gone[siprec->gone_count++] = party->about;
	party->is_there = party->is_news = false;
}

void parties_begin(struct siprec *siprec, const struct conversation *conversation)
{
	bool in_room = conversation->caller.id == conversation->called.id;

	metadata_id_of_ulid(siprec->active->group_id, siprec->group_id);
	metadata_id_of_ulid(siprec->active->id, siprec->session_id);
	for (uint32_t at = 0; at < SESSION_STREAMS; at++)
		metadata_id(siprec->stream_id[at]);
	siprec->own = !in_room && siprec->active->leg.id == conversation->called.id;
	party_come(siprec, 0, conversation->caller, NULL);
	party_come(siprec, 1, conversation->called, in_room ? conversation->to : NULL);
}

/* ---- forks ---- */

static void on_changed(void *self, pbx_fork fork)
{
	struct party *party = self;

	(void)fork;
	party_read_line(party);
	forks_aim(party->siprec); /* what the recorder has not agreed to waits */
	siprec_changed(party->siprec);
}

static void on_ended(void *self, pbx_fork fork)
{
	struct party *party = self;

	(void)fork;
	siprec_lost_leg(party->siprec, (uint32_t)(party - party->siprec->parties));
}

static const struct pbx_fork_watcher watcher = { .size = sizeof watcher, .changed = on_changed, .ended = on_ended };

void party_read_line(struct party *party)
{
	const struct plugin *plugin = party->siprec->active->plugin;
	struct pbx_fork_local local = { .size = sizeof local };

	if (plugin->forks->local(party->fork, &local) == PBX_OK) /* else it has ended, and the line stays as it was */
		session_line_set(&party->line, &local, metadata_label(party->about.stream));
}

int party_open(struct siprec *siprec, uint32_t at)
{
	struct party *party = &siprec->parties[at];
	struct plugin *plugin = siprec->active->plugin;
	bool beeps = !siprec->active->has_file && at == siprec->own; /* else the file's recorder does */
	const struct pbx_fork_spec spec = {
		.size = sizeof spec,
		.what = party->what,
		.ip_version = siprec->ways[siprec->at].ip_version,
		.beep_s = beeps ? plugin->settings->beep_s : 0,
		.cname = party->about.participant_id,
		.srtp = siprec->encrypts,
	};

	close_fork(party);
	int err = plugin->forks->open(plugin->host, party->leg, &spec, &watcher, party, &party->fork);

	if (err == PBX_OK)
		party_read_line(party);
	else if (err != PBX_ENOENT)
		pbx_warn(plugin->host, "recording_stream_missing", "recording_id=%s stream=%u result=%d", siprec->active->id, at + 1, err);
	return err;
}

int forks_open(struct siprec *siprec)
{
	int err = PBX_ESTATE;
	bool any = false;

	for (uint32_t at = 0; at < SESSION_STREAMS; at++) {
		struct party *party = &siprec->parties[at];

		memset(&party->wish, 0, sizeof party->wish);
		if (!party->is_there)
			continue;
		int result = party_open(siprec, at);

		if (result == PBX_ENOENT)
			party_go(siprec, at); /* while nobody listened */
		any |= result == PBX_OK;
		err = result == PBX_OK ? err : result;
	}
	return any ? PBX_OK : err;
}

void forks_close(struct siprec *siprec)
{
	for (uint32_t at = 0; at < SESSION_STREAMS; at++)
		close_fork(&siprec->parties[at]);
}

void forks_adopt(struct siprec *siprec)
{
	struct plugin *plugin = siprec->active->plugin;

	for (uint32_t at = 0; at < SESSION_STREAMS; at++) {
		struct party *party = &siprec->parties[at];

		party->siprec = siprec;
		if (party->fork.id && plugin->forks->adopt(plugin->host, party->fork, &watcher, party) != PBX_OK)
			party->fork = (pbx_fork){ 0 };
	}
}

void forks_aim(struct siprec *siprec)
{
	const struct plugin *plugin = siprec->active->plugin;

	siprec->aimed = 0;
	for (uint32_t at = 0; at < SESSION_STREAMS; at++) {
		struct party *party = &siprec->parties[at];
		const struct pbx_fork_target target = { .size = sizeof target,
							.address = party->wish.address,
							.rtp_port = party->wish.rtp_port,
							.rtcp_port = party->wish.rtcp_port };
		bool sends = siprec->is_up && !siprec->paused && party->wish.is_wanted && session_wish_fits(&party->wish, &party->line);

		if (!party->fork.id)
			continue;
		int err = plugin->forks->aim(party->fork, sends ? &target : NULL);

		siprec->aimed += sends && err == PBX_OK;
		if (err != PBX_OK && err != PBX_ENOENT)
			pbx_warn(plugin->host, "recording_stream_missing", "recording_id=%s stream=%u address=%s result=%d",
				 siprec->active->id, at + 1, party->wish.address, err);
	}
}

uint64_t forks_packets(const struct siprec *siprec)
{
	const struct plugin *plugin = siprec->active->plugin;
	uint64_t packets = 0;

	for (uint32_t at = 0; at < SESSION_STREAMS; at++) {
		struct pbx_fork_state state = { .size = sizeof state };

		if (siprec->parties[at].fork.id && plugin->forks->state(siprec->parties[at].fork, &state) == PBX_OK)
			packets += state.packets;
	}
	return packets;
}

/* ---- what is said of them ---- */

void session_write_sdp(struct siprec *siprec, bool answers, char ret_text[SESSION_SDP_SIZE])
{
	const struct session_line *lines[SESSION_STREAMS];
	bool sends[SESSION_STREAMS];

	for (uint32_t at = 0; at < SESSION_STREAMS; at++) {
		const struct party *party = &siprec->parties[at];

		lines[at] = &party->line;
		sends[at] = party->fork.id && !siprec->paused && (!answers || party->wish.is_wanted);
	}
	session_sdp_write(siprec->sdp_id, ++siprec->sdp_version, lines, sends, ret_text);
}

bool session_has_news(const struct siprec *siprec)
{
	bool has_news = siprec->tells_all || siprec->gone_count;

	for (uint32_t at = 0; at < SESSION_STREAMS; at++)
		has_news |= siprec->parties[at].is_news;
	return has_news;
}

char *session_write_metadata(const struct siprec *siprec, bool is_complete)
{
	struct metadata metadata = { .is_complete = is_complete, .since_us = siprec->since_us };

	memcpy(metadata.group_id, siprec->group_id, sizeof metadata.group_id);
	memcpy(metadata.session_id, siprec->session_id, sizeof metadata.session_id);
	memcpy(metadata.stream_id, siprec->stream_id, sizeof metadata.stream_id);
	for (uint32_t at = 0; at < SESSION_STREAMS; at++) {
		const struct party *party = &siprec->parties[at];

		metadata.call_ids[at] = siprec->call_ids[at];
		if (party->is_there && (is_complete || party->is_news))
			metadata.parties[metadata.party_count++] = &party->about;
	}
	for (uint32_t i = 0; i < siprec->gone_count && !is_complete; i++)
		metadata.parties[metadata.party_count++] = &siprec->gone[i];
	return metadata_write(&metadata);
}

void session_told(struct siprec *siprec)
{
	siprec->tells_all = false;
	siprec->gone_count = 0;
	for (uint32_t at = 0; at < SESSION_STREAMS; at++)
		siprec->parties[at].is_news = false;
}
