"""What each promise demands, as tests to inherit: a transport, archive, renderer or engine of your own passes them.

    from steward.contracts import ArchiveContract

    class TestMine(ArchiveContract):
        @pytest.fixture
        def make(self, tmp_path):
            return lambda: MyArchive(tmp_path)

They need pytest, and are what Steward's own implementations pass. Each says which fixtures it asks for.
"""

from steward.contracts.archive import ArchiveContract
from steward.contracts.engine import EngineContract
from steward.contracts.renderer import RendererContract
from steward.contracts.transport import TransportContract

__all__ = ["ArchiveContract", "EngineContract", "RendererContract", "TransportContract"]
