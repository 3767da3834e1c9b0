from tests.aws_servers import aws, ministack, moto

__all__ = ["aws", "ministack", "moto"]
