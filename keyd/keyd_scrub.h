/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_scrub - overwrites files that are no longer needed, so that old wraps do not lie about.
 *
 * Story:  a file that is about to be replaced is opened first; when the new one is on stable
 *         storage, the old one's blocks, which have no name any more, are overwritten. As well as
 *         can be: a file system that copies on write, a journal of data, snapshots of volumes and
 *         flash memory keep blocks that nobody can reach by their file. That is why an anchor
 *         exists.
 * Thread: the disk's, or at start. Failures are silent: the new file stands either way. */
#ifndef KEYD_KEYD_SCRUB_H
#define KEYD_KEYD_SCRUB_H

/* A descriptor for what is at path now, or -1. */
int keyd_scrub_open(const char *path);
/* Overwrites all of it, and closes. One that still has a name belongs to whoever gave it. -1 is
 * fine. */
void keyd_scrub_close(int fd);
/* Closes without: the file still counts. */
void keyd_scrub_keep(int fd);
/* Overwrites and removes a file that does not count; one that is not there is fine. */
void keyd_scrub_remove(const char *path);
/* The same for all temporary files that a crash has left beside path. */
void keyd_scrub_leftovers(const char *dir, const char *name);

#endif
