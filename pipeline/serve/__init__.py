"""The HTTP service: it calls what the command line calls, and decides nothing.

    client ──▶ door (host, pace, access, body) ──▶ app ──▶ reading, gallery    what the ledger says
                                                     └──▶ jobs ──ledger──▶ worker ──▶ pipeline.flow.run

A request to mint is a row in the ledger before it is answered. One worker in the same process does jobs one after
another, so that what ends this process, or the client's, ends no job.
"""
