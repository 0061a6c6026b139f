"""Layered collections: tokens composed of pictures from folders, in counts that hold exactly and under rules that hold always.

    folder ──form──▶ design ──table──▶ token → values per layer ──compositor──▶ pixels
             toml.py   design.py  solver.py                       compositor.py
             engines.py

`form.py` is what `layers.toml` says, typed; `engines.py` reads the folders of two older programs into the same form.
`design.py` looks into the folders and knows every value with its pictures; `rules.py` brings rules to clauses over values;
`solver.py` finds a table in which every count is exact, no rule is broken and no two tokens agree, and `proof.py` says why
there is none. `table.py` holds the plan: rows, counts, rules, and the entry for who changes some of them.
"""
