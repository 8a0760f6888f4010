from tests.moto_cloud import cloud

__all__ = ["cloud"]
