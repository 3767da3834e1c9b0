from tests.aws_servers import ministack

__all__ = ["ministack"]
