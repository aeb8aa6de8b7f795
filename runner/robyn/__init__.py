"""Models of R Robyn, both ways: a file of ``robyn_write`` becomes a run, a model of a run becomes such a file.

reading   the JSON, whatever version of Robyn 3 wrote it, as typed values
names     Robyn's names beside ours
data      the model's table, and where its baseline columns come from
to_spec   the inputs as a spec of ours
rebuild   the model evaluated again on those data
compare   our numbers beside the file's
importing all of that, to a run folder
writing   a model of a run folder as Robyn would write it
"""
