"""Makes ``twistd apigw`` known to Twisted."""

from twisted.application.service import ServiceMaker

apigw = ServiceMaker(
    "API gateway",
    "apigw.tap",
    "An HTTP API gateway: routing, authentication, limits and resilience in front of services.",
    "apigw",
)
