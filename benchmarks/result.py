"""What a load generator said of one burst."""

from attrs import frozen

from benchmarks.scenarios import Scenario


@frozen
class Result:
    """Requests that were answered, in so many seconds; ``problem`` says why they don't count, or is empty."""

    requests: int
    seconds: float
    problem: str

    @classmethod
    def of(cls, requests: int, seconds: float, size: int, errors: dict[str, int], scenario: Scenario) -> "Result":
        """Judge ``errors`` by their kind, and ``size``, the bytes of all answers."""
        problems = [f"{number} {kind}" for kind, number in errors.items() if number]
        if not requests:
            problems.append("no answer")
        elif size < requests * scenario.answer:
            problems.append(f"answers of {size / requests:.0f} bytes")
        return cls(requests, seconds, ", ".join(problems))
