"""Measuring an agent with a live model: fixtures x runs, each run a row of one SQLite file.

`plan` says what is to be run, `work` does one run, `pool` does many (`ray_pool` on a cluster),
`store` keeps what they came to, `summary` puts it together and judges it, `significance` compares
two measurements. `docs/measure.md` has the whole story.
"""
