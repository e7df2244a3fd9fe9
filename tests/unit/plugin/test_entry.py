import shutil
import subprocess
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from logboom.plugin import entry_pb2

PYTHON = Path(__file__).parents[3] / "python"


@pytest.mark.skipif(shutil.which("protoc") is None, reason="protoc is not installed")
def test_the_generated_module_is_that_of_the_definition(tmp_path: Path) -> None:
    """Somebody had changed entry.proto without running protoc again is what this is here to find."""
    compiled = tmp_path / "entry.bin"
    subprocess.run(
        ["protoc", f"-I{PYTHON}", f"--descriptor_set_out={compiled}", "logboom/plugin/entry.proto"],
        check=True,
    )
    (defined,) = FileDescriptorSet.FromString(compiled.read_bytes()).file
    for message in defined.message_type:
        for field in message.field:
            field.ClearField("json_name")  # generated modules leave it out
    assert defined == FileDescriptorProto.FromString(entry_pb2.DESCRIPTOR.serialized_pb)
