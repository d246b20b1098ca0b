"""The tests of apigw.http1."""
