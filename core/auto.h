/* core/auto.h - AUTO(slot) lets go at the end of the scope, TAKE(pointer) hands over and leaves NULL behind */
#pragma once
#include <stdlib.h>

#define AUTO(type) __attribute__((cleanup(type##_auto_)))
/* Beside a type's destructor: AUTO_FREES(slot) makes AUTO(slot) call slot_free(). */
#define AUTO_FREES(type)                                                                                                                   \
	static inline void type##_auto_(struct type **at)                                                                                  \
	{                                                                                                                                  \
		type##_free(*at);                                                                                                          \
	}
#define TAKE(pointer)                                                                                                                      \
	__extension__({                                                                                                                    \
		__typeof__(pointer) *at_ = &(pointer);                                                                                     \
		__typeof__(pointer) taken_ = *at_;                                                                                         \
		*at_ = NULL;                                                                                                               \
		taken_;                                                                                                                    \
	})

static inline void text_auto_(char **at)
{
	free(*at);
}
