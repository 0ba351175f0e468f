/* SPDX-License-Identifier: Apache-2.0 */
/* list - a doubly linked list whose links live in its members. Pure; one thread at a time.
 *
 * Story: struct list is the head; struct list_link sits in each member. A link knows whether it is on
 *        a list (list_linked), so removing twice is a bug that shows at once. */
#ifndef CORE_LIST_H
#define CORE_LIST_H

#include <stddef.h>

struct list_link {
	struct list_link *prev, *next; /* NULL when on no list */
};

struct list {
	struct list_link head;
};

#define list_entry(link, type, member) ((type *)((char *)(link) - offsetof(type, member)))
/* Walks l; the current member must not be removed (take list_first in a loop for that). */
#define list_each(var, l, type, member)                                                            \
	for (type *var = list_entry((l)->head.next, type, member); &var->member != &(l)->head;     \
	     var = list_entry(var->member.next, type, member))

static inline void list_init(struct list *l)
{
	l->head.prev = l->head.next = &l->head;
}
static inline int list_empty(const struct list *l)
{
	return l->head.next == &l->head;
}
static inline int list_linked(const struct list_link *k)
{
	return k->next != NULL;
}
static inline struct list_link *list_first(struct list *l)
{
	return list_empty(l) ? NULL : l->head.next;
}
static inline void list_insert_before(struct list_link *at, struct list_link *k)
{
	k->prev = at->prev;
	k->next = at;
	at->prev->next = k;
	at->prev = k;
}
static inline void list_push_back(struct list *l, struct list_link *k)
{
	list_insert_before(&l->head, k);
}
static inline void list_push_front(struct list *l, struct list_link *k)
{
	list_insert_before(l->head.next, k);
}
static inline void list_remove(struct list_link *k)
{
	k->prev->next = k->next;
	k->next->prev = k->prev;
	k->prev = k->next = NULL;
}
static inline struct list_link *list_pop_front(struct list *l)
{
	struct list_link *k = list_first(l);
	if (k)
		list_remove(k);
	return k;
}

#endif
