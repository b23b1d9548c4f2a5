/* plan.c - the number plan: who has which number, and no number twice
 *
 * A claim's pattern is turned into sequences of sets of characters, one set a place: "*43" is three sets of one, "70-79" is [7][0-9], "165-342"
 * becomes a few such sequences. Two claims conflict when a number fits both, unless one of them is conditional (accept): then the longest
 * literal beginning is asked first. Reservations are plain numbers (an account's), kept sorted. */
#include "calls_inner.h"
#include "overlap.h"
#include <stdlib.h>

#define MOST_PLACES 32u
#define MOST_SEQUENCES 64u

struct set {
	uint64_t low, high; /* characters 0-63, 64-127 */
};

struct sequence {
	struct set places[MOST_PLACES];
	uint32_t length;
	bool open; /* one or more of anything follow */
};

struct claim {
	struct claim *next;
	struct core_charge charge;
	char pattern[64], help[96];
	uint32_t order, literal; /* length of the literal beginning */
	bool is_range;
	pbx_dialled_fn dialled;
	pbx_accept_fn accept;
	void *self;
	uint32_t sequence_count;
	struct sequence sequences[];
};

struct reservation {
	struct core_charge charge;
	char number[64];
};

static struct claim *claims;              /* longest literal beginning first */
static struct reservation **reservations; /* sorted by number */
static uint32_t reservation_count, reservation_size;

/* ---- sets of characters ---- */

static void set_add(struct set *set, unsigned char c)
{
	if (c < 64)
		set->low |= UINT64_C(1) << c;
	else if (c < 128)
		set->high |= UINT64_C(1) << (c - 64);
}

static struct set set_range(unsigned char first, unsigned char last)
{
	struct set set = { 0, 0 };

	for (unsigned char c = first; c <= last; c++)
		set_add(&set, c);
	return set;
}

static bool set_has(const struct set *set, unsigned char c)
{
	if (c < 64)
		return set->low >> c & 1;
	return c < 128 && (set->high >> (c - 64) & 1);
}

static bool sets_meet(const struct set *a, const struct set *b)
{
	return (a->low & b->low) || (a->high & b->high);
}

/* ---- patterns into sequences ---- */

struct parsed {
	struct sequence sequences[MOST_SEQUENCES];
	uint32_t count, literal;
	bool is_range;
};

static bool sequence_put(struct sequence *sequence, struct set set)
{
	if (sequence->length == MOST_PLACES)
		return false;
	sequence->places[sequence->length++] = set;
	return true;
}

/* A range of numbers of one length, digit by digit: the common beginning, then what lies above the first, between, below the last. */
static bool range_split(struct parsed *parsed, struct sequence *prefix, const char *first, const char *last)
{
	if (*first == '\0') {
		if (parsed->count == MOST_SEQUENCES)
			return false;
		parsed->sequences[parsed->count++] = *prefix;
		return true;
	}

	size_t rest = strlen(first) - 1;
	bool low_is_full = strspn(first + 1, "0") == rest, high_is_full = strspn(last + 1, "9") == rest;
	char nines[MOST_PLACES], zeros[MOST_PLACES];
	memset(nines, '9', rest);
	memset(zeros, '0', rest);
	nines[rest] = zeros[rest] = '\0';

	unsigned char from = (unsigned char)*first, to = (unsigned char)*last;
	struct sequence longer = *prefix;
	if (from == to) {
		return sequence_put(&longer, set_range(from, to)) && range_split(parsed, &longer, first + 1, last + 1);
	}
	if (!low_is_full) {
		if (!sequence_put(&longer, set_range(from, from)) || !range_split(parsed, &longer, first + 1, nines))
			return false;
		from++;
	}
	if (!high_is_full) {
		longer = *prefix;
		if (!sequence_put(&longer, set_range(to, to)) || !range_split(parsed, &longer, zeros, last + 1))
			return false;
		to--;
	}
	if (from > to)
		return true;
	longer = *prefix;
	return sequence_put(&longer, set_range(from, to)) && range_split(parsed, &longer, zeros, nines);
}

static bool parse_range(struct parsed *parsed, const char *pattern, const char *dash)
{
	size_t length = (size_t)(dash - pattern);
	char first[MOST_PLACES];

	if (length == 0 || length >= MOST_PLACES || strlen(dash + 1) != length || pattern[strspn(pattern, "0123456789")] != '-' ||
	    dash[1 + strspn(dash + 1, "0123456789")] != '\0' || strncmp(pattern, dash + 1, length) > 0)
		return false;
	memcpy(first, pattern, length);
	first[length] = '\0';

	struct sequence none = { .length = 0 };
	parsed->is_range = true;
	while (parsed->literal < length && first[parsed->literal] == dash[1 + parsed->literal])
		parsed->literal++;
	return range_split(parsed, &none, first, dash + 1);
}

/* "[5-7]" or "[13579]"; *at is behind the bracket afterwards. */
static bool parse_class(const char **at, struct set *ret_set)
{
	const char *text = *at + 1;
	struct set set = { 0, 0 };

	if (*text == ']')
		return false;
	for (; *text && *text != ']'; text++) {
		unsigned char first = (unsigned char)text[0], last = first;

		if (text[1] == '-' && text[2] && text[2] != ']') {
			last = (unsigned char)text[2];
			text += 2;
		}
		if (first > last || last > 126)
			return false;
		for (unsigned char c = first; c <= last; c++)
			set_add(&set, c);
	}
	if (*text != ']')
		return false;
	*at = text + 1;
	*ret_set = set;
	return true;
}

static bool parse_places(struct parsed *parsed, const char *pattern)
{
	struct sequence *sequence = &parsed->sequences[0];
	bool is_literal = true;

	parsed->count = 1;
	while (*pattern) {
		unsigned char c = (unsigned char)*pattern;
		struct set set;

		if (c == '.' && pattern[1] == '\0') {
			sequence->open = true;
			return sequence->length > 0 || is_literal;
		}
		if (c == '[') {
			if (!parse_class(&pattern, &set))
				return false;
			is_literal = false;
		} else {
			if (c <= ' ' || c > 126 || c == '.' || c == ']')
				return false;
			if (strchr("XZN", c)) {
				set = set_range(c == 'X' ? '0' : c == 'Z' ? '1' : '2', '9');
				is_literal = false;
			} else {
				set = set_range(c, c);
			}
			pattern++;
		}
		if (!sequence_put(sequence, set))
			return false;
		parsed->literal += is_literal;
	}
	return sequence->length > 0;
}

static bool parse_pattern(const char *pattern, struct parsed *ret_parsed)
{
	const char *dash = strchr(pattern, '-');

	memset(ret_parsed, 0, sizeof *ret_parsed);
	if (strlen(pattern) >= sizeof((struct claim *)0)->pattern)
		return false;
	if (dash && !strchr(pattern, '['))
		return parse_range(ret_parsed, pattern, dash);
	return parse_places(ret_parsed, pattern);
}

/* ---- matching, meeting ---- */

static bool sequence_fits(const struct sequence *sequence, const char *number)
{
	uint32_t i = 0;

	for (; i < sequence->length && number[i]; i++)
		if (!set_has(&sequence->places[i], (unsigned char)number[i]))
			return false;
	return i == sequence->length && (sequence->open ? number[i] != '\0' : number[i] == '\0');
}

static bool sequences_meet(const struct sequence *a, const struct sequence *b)
{
	uint32_t both = a->length < b->length ? a->length : b->length;

	if (!a->open && !b->open && a->length != b->length)
		return false;
	if (a->open && !b->open && b->length <= a->length)
		return false;
	if (b->open && !a->open && a->length <= b->length)
		return false;
	for (uint32_t i = 0; i < both; i++)
		if (!sets_meet(&a->places[i], &b->places[i]))
			return false;
	return true;
}

static bool fits(const struct claim *claim, const char *number)
{
	for (uint32_t i = 0; i < claim->sequence_count; i++)
		if (sequence_fits(&claim->sequences[i], number))
			return true;
	return false;
}

static bool meets(const struct claim *claim, const struct parsed *parsed)
{
	for (uint32_t i = 0; i < claim->sequence_count; i++)
		for (uint32_t j = 0; j < parsed->count; j++)
			if (sequences_meet(&claim->sequences[i], &parsed->sequences[j]))
				return true;
	return false;
}

/* What follows the literal beginning: the "1004" of *761004. A range and an exact number have no open end. */
static const char *argument_of(const struct claim *claim, const char *number)
{
	return claim->is_range ? "" : number + claim->literal;
}

bool core_plan_match(const char *number, uint32_t order, struct core_claim_match *ret_match)
{
	for (const struct claim *claim = claims; claim; claim = claim->next) {
		if (claim->order != order || !fits(claim, number))
			continue;
		if (claim->accept) {
			core_enter(claim->charge.owner);
			bool accepted = claim->accept(claim->self, argument_of(claim, number));
			core_leave();
			if (!accepted)
				continue;
		}
		*ret_match = (struct core_claim_match){ claim->charge.owner,        claim->pattern, claim->help,
							argument_of(claim, number), claim->dialled, claim->self };
		return true;
	}
	return false;
}

/* An upgraded plugin's new instance stands beside the old one and may have its numbers: the newest is asked, and when it fails to start the old
 * one simply has them again. */
static bool is_successor(const struct pbx_host *host, const struct pbx_host *owner)
{
	return host != owner && strcmp(core_owner_name(host), core_owner_name(owner)) == 0;
}

/* ---- reservations ---- */

/* Where a number is, or would be: the first of those of successive instances. */
static uint32_t reservation_place(const char *number, bool *ret_found)
{
	uint32_t low = 0, high = reservation_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (strcmp(reservations[middle]->number, number) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_found = low < reservation_count && strcmp(reservations[low]->number, number) == 0;
	return low;
}

static void revoke_reservation(struct core_charge *charge)
{
	struct reservation *reservation = (struct reservation *)((char *)charge - offsetof(struct reservation, charge));
	bool found;
	uint32_t at = reservation_place(reservation->number, &found);

	core_charge_remove(charge);
	while (reservations[at] != reservation)
		at++;
	reservation_count--;
	memmove(&reservations[at], &reservations[at + 1], (reservation_count - at) * sizeof *reservations);
	free(reservation);
}

static int conflict(struct pbx_diag *diag, const char *wanted, const struct pbx_host *by, const char *had, const struct pbx_host *owner)
{
	pbx_diag_set(diag, "pattern", "%s of %s: %s belongs to %s already", wanted, core_owner_name(by), had, core_owner_name(owner));
	return PBX_EEXIST;
}

static bool reservations_make_room(void)
{
	if (reservation_count < reservation_size)
		return true;

	uint32_t size = reservation_size ? reservation_size * 2 : 64;
	struct reservation **grown = realloc(reservations, size * sizeof *grown);
	if (!grown)
		return false;
	reservations = grown;
	reservation_size = size;
	return true;
}

int core_plan_reserve(struct pbx_host *host, const char *number, struct pbx_diag *diag)
{
	bool found;

	if (!number || !number[0] || strlen(number) >= sizeof((struct reservation *)0)->number) {
		pbx_diag_set(diag, "number", "a number of 1 to 63 characters is needed");
		return PBX_EINVAL;
	}

	uint32_t at = reservation_place(number, &found);
	if (found && !is_successor(host, reservations[at]->charge.owner))
		return conflict(diag, number, host, number, reservations[at]->charge.owner);
	for (const struct claim *claim = claims; claim; claim = claim->next)
		if (!claim->accept && fits(claim, number) && !is_successor(host, claim->charge.owner))
			return conflict(diag, number, host, claim->pattern, claim->charge.owner);

	struct reservation *reservation = reservations_make_room() ? calloc(1, sizeof *reservation) : NULL;
	if (!reservation)
		return PBX_ENOMEM;
	CORE_TEXT(reservation->number, number);
	memmove(&reservations[at + 1], &reservations[at], (reservation_count - at) * sizeof *reservations);
	reservations[at] = reservation;
	reservation_count++;
	core_charge_add(host, &reservation->charge, "number", false, revoke_reservation);
	return PBX_OK;
}

int core_plan_unreserve(struct pbx_host *host, const char *number)
{
	bool found;

	for (uint32_t at = reservation_place(number, &found); at < reservation_count && strcmp(reservations[at]->number, number) == 0; at++)
		if (reservations[at]->charge.owner == host) {
			revoke_reservation(&reservations[at]->charge);
			return PBX_OK;
		}
	return PBX_ENOENT;
}

int core_plan_owner(const char *number, const char **ret_owner)
{
	bool found;
	uint32_t at = reservation_place(number, &found);

	if (found) {
		*ret_owner = core_owner_name(reservations[at]->charge.owner);
		return PBX_OK;
	}
	for (const struct claim *claim = claims; claim; claim = claim->next)
		if (fits(claim, number)) {
			*ret_owner = core_owner_name(claim->charge.owner);
			return PBX_OK;
		}
	return PBX_ENOENT;
}

/* ---- claims ---- */

static void revoke_claim(struct core_charge *charge)
{
	struct claim *claim = (struct claim *)((char *)charge - offsetof(struct claim, charge));
	struct claim **at = &claims;

	core_charge_remove(charge);
	while (*at != claim)
		at = &(*at)->next;
	*at = claim->next;
	free(claim);
}

static int claim_check(struct pbx_host *host, const struct pbx_claim *wish, const struct parsed *parsed, struct pbx_diag *diag)
{
	for (const struct claim *other = claims; other; other = other->next) {
		bool is_conditional = wish->accept || other->accept;

		if (is_successor(host, other->charge.owner))
			continue;
		if (strcmp(other->pattern, wish->pattern) == 0 || (!is_conditional && meets(other, parsed)))
			return conflict(diag, wish->pattern, host, other->pattern, other->charge.owner);
	}
	for (uint32_t i = 0; i < reservation_count && !wish->accept; i++)
		for (uint32_t j = 0; j < parsed->count; j++)
			if (sequence_fits(&parsed->sequences[j], reservations[i]->number) &&
			    !is_successor(host, reservations[i]->charge.owner))
				return conflict(diag, wish->pattern, host, reservations[i]->number, reservations[i]->charge.owner);
	return PBX_OK;
}

static void claim_insert(struct claim *claim)
{
	struct claim **at = &claims;

	while (*at && (*at)->literal > claim->literal)
		at = &(*at)->next;
	claim->next = *at;
	*at = claim;
}

int core_plan_claim(struct pbx_host *host, const struct pbx_claim *given, struct pbx_diag *diag)
{
	struct pbx_claim wish = { 0 };
	int err = PBX_EINVAL;

	core_copy_overlap(&wish, sizeof wish, given, given->size);

	struct parsed *parsed = calloc(1, sizeof *parsed); /* too big for comfort on the stack */
	if (!parsed)
		return PBX_ENOMEM;
	if (wish.order == 0)
		wish.order = PBX_ORDER_CODES;
	if (!wish.pattern || !wish.dialled || !parse_pattern(wish.pattern, parsed))
		pbx_diag_set(diag, "pattern", "%s is no pattern: digits, X Z N, [5-7], a range 70-79, and . at the end",
			     wish.pattern ? wish.pattern : "(none)");
	else if (wish.order != PBX_ORDER_CODES && wish.order != PBX_ORDER_FEATURES)
		pbx_diag_set(diag, "order", "%u is not an order claims can have: %u or %u", wish.order, PBX_ORDER_CODES,
			     PBX_ORDER_FEATURES);
	else
		err = claim_check(host, &wish, parsed, diag);
	if (err != PBX_OK) {
		free(parsed);
		return err;
	}

	size_t size = parsed->count * sizeof parsed->sequences[0];
	struct claim *claim = calloc(1, sizeof *claim + size);
	if (!claim) {
		free(parsed);
		return PBX_ENOMEM;
	}
	CORE_TEXT(claim->pattern, wish.pattern);
	CORE_TEXT(claim->help, wish.help);
	claim->order = wish.order;
	claim->literal = parsed->literal;
	claim->is_range = parsed->is_range;
	claim->dialled = wish.dialled;
	claim->accept = wish.accept;
	claim->self = wish.self;
	claim->sequence_count = parsed->count;
	memcpy(claim->sequences, parsed->sequences, size);
	free(parsed);
	claim_insert(claim);
	core_charge_add(host, &claim->charge, "claim", false, revoke_claim);
	return PBX_OK;
}

int core_plan_unclaim(struct pbx_host *host, const char *pattern)
{
	for (struct claim *claim = claims; claim; claim = claim->next)
		if (claim->charge.owner == host && strcmp(claim->pattern, pattern) == 0) {
			revoke_claim(&claim->charge);
			return PBX_OK;
		}
	return PBX_ENOENT;
}

void core_plan_each(void (*each)(void *context, const struct core_plan_row *row), void *context)
{
	for (const struct claim *claim = claims; claim; claim = claim->next)
		each(context,
		     &(struct core_plan_row){ "claim", core_owner_name(claim->charge.owner), claim->pattern, claim->help, claim->order });
	for (uint32_t i = 0; i < reservation_count; i++)
		each(context,
		     &(struct core_plan_row){ "number", core_owner_name(reservations[i]->charge.owner), reservations[i]->number, "", 0 });
}

void core_plan_fini(void)
{
	while (claims)
		revoke_claim(&claims->charge);
	while (reservation_count)
		revoke_reservation(&reservations[reservation_count - 1]->charge);
	free(reservations);
	reservations = NULL;
	reservation_size = 0;
}
