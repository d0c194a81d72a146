"""One scrape for several processes: each keeps its series in a file that the others can read.

The files lie in a directory that the processes share. A process writes to its own, which is mapped into its memory, so
that nothing is lost when it is killed. Whoever is scraped adds up all of them. A file whose process is gone is folded
into one archive, counts and all, and deleted; what only a living process can say, such as how many calls are in flight,
goes with it.
"""
