"""``python -m apigw.workers``: ``twistd`` wherever its script may be; supervisors start workers so."""

from twisted.scripts.twistd import run

if __name__ == "__main__":
    run()
