"""From a name to weights, and what is said where there are none."""

import subprocess
import sys

import pytest

from linewise.errors import PolicyError
from linewise.policy.names import resolve_policy


def test_a_folder_with_a_config_is_itself(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert resolve_policy(str(tmp_path)) == str(tmp_path)


def test_a_folder_without_a_config_is_refused(tmp_path):
    with pytest.raises(PolicyError, match=r"holds no config\.json"):
        resolve_policy(str(tmp_path))


def test_a_path_that_does_not_exist_is_no_hub_id():
    with pytest.raises(PolicyError, match=r"There is no folder 'runs/first/policy'"):
        resolve_policy("runs/first/policy")


def test_a_misspelt_name_is_answered_with_the_nearest():
    with pytest.raises(PolicyError, match=r"Did you mean 'smollm2-135m'\?"):
        resolve_policy("./smollm2-135")


def test_a_hub_id_is_passed_on():
    assert resolve_policy("owner/Model-1.5b") == "owner/Model-1.5b"


@pytest.mark.parametrize("name", ["tiny", "tiny-t5"])
def test_tiny_models_are_built_once_and_load(name, tmp_path, monkeypatch):
    load = pytest.importorskip("linewise.policy.huggingface_load")
    monkeypatch.setenv("LINEWISE_CACHE", str(tmp_path))
    folder = resolve_policy(name)
    assert folder == str(tmp_path / name)
    loaded = load.load_model(name)
    assert loaded.model.config.is_encoder_decoder == (name == "tiny-t5")
    assert loaded.tokenizer("é", add_special_tokens=False)["input_ids"] == [0xC3 + 2, 0xA9 + 2]
    assert 100_000 < loaded.model.num_parameters() < 600_000


def test_an_unknown_model_says_what_was_tried(monkeypatch):
    load = pytest.importorskip("linewise.policy.huggingface_load")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(PolicyError, match=r"'smollm2-135' could not be loaded .* Did you mean 'smollm2-135m'\?"):
        load.load_model("smollm2-135")


def test_importing_policies_imports_no_torch():
    code = "import sys, linewise.policy; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
