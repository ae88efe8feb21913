"""Layers of other people's networks: read as their modules returned them, found by shapes, compiled or not."""

import copy
import shutil
from functools import partial

import pytest
import timm
import torch
from torch import nn
from torchvision import models

from icckd.core.randomness import global_stream
from icckd.models.create import NETWORKS, create_model
from icckd.models.finding import find_layers
from icckd.models.layers import LayerReader, logits_of, publish_layers

CLASSES = 10


def slim(make):
    """A network of torchvision with a small classifier instead of 100 million weights."""
    net = make(num_classes=CLASSES)
    width = next(m.in_features for m in net.classifier if isinstance(m, nn.Linear))
    net.classifier = nn.Sequential(nn.Linear(width, 16), nn.ReLU(True), nn.Dropout(), nn.Linear(16, CLASSES))
    return net


def convnext():
    blocks = [models.convnext.CNBlockConfig(8, 16, 1), models.convnext.CNBlockConfig(16, None, 2)]
    return models.ConvNeXt(blocks, stochastic_depth_prob=0.2, num_classes=CLASSES)


def googlenet():
    return models.googlenet(num_classes=CLASSES, aux_logits=True, init_weights=False)


def inception():
    return models.inception_v3(num_classes=CLASSES, aux_logits=False, init_weights=False)


def maxvit():
    sizes = {"input_size": (64, 64), "stem_channels": 8, "partition_size": 2, "head_dim": 4}
    return models.MaxVit(
        **sizes, block_channels=[8, 16], block_layers=[1, 2], stochastic_depth_prob=0.2, num_classes=CLASSES
    )


def swin():
    return models.SwinTransformer([4, 4], 8, [2, 2], [1, 2], [4, 4], num_classes=CLASSES)


def vision_transformer():
    return models.VisionTransformer(64, 16, 2, 2, 16, 32, dropout=0.1, num_classes=CLASSES)


# torchvision's module -> (a small member, side of its images, what `find_layers` must find)
FAMILIES = {
    "alexnet": (
        partial(slim, models.alexnet),
        64,
        "features.1 features.4 features.11 last=features.11 pooled=classifier.3:input",
    ),
    "convnext": (convnext, 64, "features.1 features last=features pooled=classifier.2:input"),
    "densenet": (
        lambda: models.DenseNet(8, (2, 2), 16, num_classes=CLASSES),
        64,
        "features.relu0 features.denseblock1 features last=features pooled=classifier:input",
    ),
    "efficientnet": (
        lambda: models.efficientnet_b0(num_classes=CLASSES),
        64,
        "features.1 features.2 features.3 features.5 features last=features pooled=classifier.1:input",
    ),
    "googlenet": (googlenet, 64, "conv1 conv3 inception3b inception4e inception5b last=inception5b pooled=fc:input"),
    "inception": (
        inception,
        139,
        "Conv2d_2b_3x3 Conv2d_4a_3x3 Mixed_5d Mixed_6e Mixed_7c last=Mixed_7c pooled=fc:input",
    ),
    "maxvit": (maxvit, 64, "stem blocks.0 blocks.1 last=blocks.1 pooled=classifier.5:input"),
    "mnasnet": (
        lambda: models.mnasnet0_5(num_classes=CLASSES),
        64,
        "layers.7 layers.8 layers.9 layers.11 layers last=layers pooled=classifier.1:input",
    ),
    "mobilenetv2": (
        lambda: models.mobilenet_v2(num_classes=CLASSES, width_mult=0.35),
        64,
        "features.1 features.3 features.6 features.13 features last=features pooled=classifier.1:input",
    ),
    "mobilenetv3": (
        lambda: models.mobilenet_v3_small(num_classes=CLASSES),
        64,
        "features.0 features.1 features.3 features.8 features last=features pooled=classifier.3:input",
    ),
    "regnet": (
        lambda: models.regnet_y_400mf(num_classes=CLASSES),
        64,
        "stem trunk_output.block1 trunk_output.block2 trunk_output.block3 trunk_output "
        "last=trunk_output pooled=fc:input",
    ),
    "resnet": (
        lambda: models.resnet18(num_classes=CLASSES),
        64,
        "relu layer1 layer2 layer3 layer4 last=layer4 pooled=fc:input",
    ),
    "shufflenetv2": (
        lambda: models.shufflenet_v2_x0_5(num_classes=CLASSES),
        64,
        "conv1 maxpool stage2 stage3 conv5 last=conv5 pooled=fc:input",
    ),
    "squeezenet": (
        lambda: models.squeezenet1_1(num_classes=CLASSES),
        64,
        "features.1 features.4 features.7 features last=features",
    ),
    "swin_transformer": (swin, 64, "features.1:map permute last=permute pooled=head:input"),
    "vgg": (
        partial(slim, models.vgg11_bn),
        64,
        "features.2 features.6 features.13 features.20 features.27 features last=features pooled=classifier.3:input",
    ),
    "vision_transformer": (vision_transformer, 64, "encoder:map last=encoder:map pooled=heads.head:input"),
}
# the same for timm
TIMM = {
    "mobilenetv3_small_050": (64, "bn1 blocks.0 blocks.1 blocks.3 blocks.5 last=blocks pooled=classifier:input"),
    "resnet10t": (64, "act1 layer1 layer2 layer3 layer4 last=layer4 pooled=fc:input"),
    "efficientnet_lite0": (
        64,
        "blocks.0 blocks.1 blocks.2 blocks.4 blocks.6 last=bn2 pooled=classifier:input",
    ),
    "convnext_atto": (64, "stages.0 stages.1 stages.2 stages.3 last=stages pooled=head.fc:input"),
    "repvgg_a0": (64, "stem stages.0 stages.1 stages.2 stages last=stages pooled=head.fc:input"),
    "ghostnet_050": (64, "conv_stem blocks.1 blocks.3 blocks.5 blocks.7 last=blocks pooled=classifier:input"),
    "dla46x_c": (64, "level0 level1 level2 level3 level4 level5 last=level5"),
    "vit_tiny_patch16_224": (
        64,
        "blocks.2:map blocks.5:map blocks.8:map blocks.11:map last=norm:map pooled=head:input",
    ),
    "cait_xxs24_224": (
        64,
        "blocks.5:map blocks.11:map blocks.17:map blocks.23:map last=norm:map pooled=head:input",
    ),
    "swin_tiny_patch4_window7_224": (
        64,
        "layers.0:map layers.1:map layers.2:map layers.3:map last=norm:map pooled=head.fc:input",
    ),
}


def torchvision_small(family):
    with global_stream(0, "network", family):
        return FAMILIES[family][0](), FAMILIES[family][1]


def timm_small(name):
    options = {"img_size": 64} if any(word in name for word in ("vit", "cait", "swin")) else {}
    with global_stream(0, "network", name):
        return timm.create_model(name, num_classes=CLASSES, **options), TIMM[name][0]


def test_every_family_of_torchvision_is_here():
    found = {models.get_model_builder(name).__module__.rsplit(".", 1)[-1] for name in models.list_models(module=models)}
    assert found == set(FAMILIES)


def hooked(net, images, copied):
    """What all modules are given and return, by plain hooks that copy or do not; and the network's logits."""
    got, handles = {}, []

    def keep(name, value):
        value = next((x for x in (value if isinstance(value, tuple | list) else [value]) if torch.is_tensor(x)), None)
        if value is not None:
            got[name] = value.clone() if copied else value

    for path, module in net.named_modules():
        if path not in ("", "stages"):
            after = lambda module, inputs, output, path=path: keep(path, output)
            before = lambda module, inputs, path=path: keep(f"{path}:input", inputs)
            handles += [module.register_forward_hook(after), module.register_forward_pre_hook(before)]
    try:
        return got, logits_of(net(images))
    finally:
        for handle in handles:
            handle.remove()


def gradients(net, logits, layers):
    """Of a sum over all that was read, each entry with a weight of its own."""
    weighted = [x.mul(torch.arange(x.numel(), dtype=x.dtype).view_as(x).cos()).mean() for x in layers.values()]
    wanted = [p for p in net.parameters() if p.requires_grad]
    return torch.autograd.grad(sum(weighted, logits.mean()), wanted, allow_unused=True)


def in_place_flags(net):
    return [getattr(module, "inplace", None) for module in net.modules()]


def check_reading(net, size):
    """Every value and every gradient in both modes, in the first pass and in later ones, against a copy of everything.

    Returns the names that plain hooks get wrong.
    """
    net, wrong, flags = net.double(), set(), in_place_flags(net)
    images = torch.randn(2, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    start = copy.deepcopy(net.state_dict())

    def fresh(run, *arguments):
        net.load_state_dict(start)
        with global_stream(0, "pass"):
            return run(*arguments)

    read = None
    for mode in (True, False):
        net.train(mode)
        expected, logits = fresh(hooked, net, images, True)
        slopes = gradients(net, logits, expected)
        plain, _ = fresh(hooked, net, images, False)
        same = lambda a, b: torch.equal(a.nan_to_num(), b.nan_to_num())
        wrong |= {name for name in expected if not same(plain[name], expected[name])}
        if read is not None and set(read.names) != set(
            expected
        ):  # GoogLeNet has its auxiliary heads in train mode only
            read.close()
            read = None
        read = LayerReader(net, expected) if read is None else read
        for _ in range(2):
            out = fresh(read, images)
            assert same(out.logits, logits) and set(out.layers) == set(expected)
            assert not [name for name in expected if not same(out[name], expected[name])]
        for got, wanted in zip(gradients(net, out.logits, out.layers), slopes, strict=True):
            if wanted is not None:
                torch.testing.assert_close(got, wanted, rtol=1e-6, atol=1e-9 * float(wanted.abs().max() + 1))
            else:
                assert got is None
    read.close()
    assert in_place_flags(net) == flags
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    return wrong


@pytest.mark.parametrize("family", FAMILIES)
def test_torchvision_is_read_as_modules_returned_it(family):
    net, size = torchvision_small(family)
    wrong = check_reading(net, min(size, 96))
    overwritten = {  # what plain hooks get wrong, where it is known; transformers write over nothing
        "resnet": {"layer1.0.bn2", "layer4.1.relu:input"},
        "mobilenetv2": {"features.18.1", "features.2.conv.1.1"},
        "densenet": {"features.norm5", "features"},
        "vision_transformer": set(),
    }
    assert overwritten.get(family, set()) <= wrong
    assert bool(wrong) == (family not in ("maxvit", "swin_transformer", "vision_transformer"))


@pytest.mark.parametrize("name", TIMM)
def test_timm_is_read_as_modules_returned_it(name):
    check_reading(*timm_small(name))


def written(found):
    """The found names in the short form of the tables above."""
    ends = [found.layers[stage] for stage in found.stages]
    return " ".join([*ends, *(f"{name}={found.layers[name]}" for name in ("last", "pooled") if name in found.layers)])


@pytest.mark.parametrize("name", [*FAMILIES, *TIMM])
def test_layers_are_found_and_can_be_read(name):
    net, size = torchvision_small(name) if name in FAMILIES else timm_small(name)
    children = {name for name, _ in net.named_children()}
    modes = [module.training for module in net.train().modules()]
    found = find_layers(net, size)
    assert written(found) == (FAMILIES[name][2] if name in FAMILIES else TIMM[name][1])
    assert [module.training for module in net.modules()] == modes
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    publish_layers(net, found.layers, found.stages)
    assert {name for name, _ in net.named_children()} == children
    read = LayerReader(net.eval(), ["stages", "last", *(["pooled"] if "pooled" in found.layers else [])])
    out = read(torch.zeros(2, 3, size, size))
    shapes = {name: tuple(x.shape[1:]) for name, x in [*out.layers.items(), ("logits", out.logits)]}
    assert shapes == found.shapes
    assert all(len(shapes[stage]) == 3 for stage in found.stages)
    areas = [shapes[stage][1] * shapes[stage][2] for stage in found.stages]
    of_one_size = len(set(areas)) == 1  # transformers: the quarters of their blocks
    assert areas == sorted(areas, reverse=True) and (of_one_size or len(set(areas)) == len(areas))


@pytest.mark.parametrize(
    "name", ["fcn_resnet50", "deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large", "deeplabv3_resnet50"]
)
def test_segmentation_of_torchvision(name):
    aux = {} if name.startswith("lraspp") else {"aux_loss": True}
    with global_stream(0, "network", name):
        net = models.get_model(name, weights=None, weights_backbone=None, num_classes=6, **aux).eval()
    images, wanted = torch.randn(2, 3, 64, 64), ["aux_logits"] if aux else []
    found = find_layers(net, 64)
    assert found.layers.pop("pyramid").startswith("classifier.") and "pooled" not in found.layers
    assert all(path.startswith("backbone.") for path in found.layers.values())
    out = LayerReader(net, wanted)(images)
    expected = net(images)
    torch.testing.assert_close(out.logits, expected["out"], rtol=0, atol=0)
    if aux:
        torch.testing.assert_close(out["aux_logits"], expected["aux"], rtol=0, atol=0)


def test_auxiliary_head_of_a_created_segmentation_network_is_published():
    net = create_model("torchvision:fcn_resnet50", 6, aux_loss=True).eval()
    out = LayerReader(net, ["aux_logits"])(torch.zeros(1, 3, 64, 64))
    assert out.logits.shape == (1, 6, 64, 64) and out["aux_logits"].shape == (1, 6, 8, 8)


def test_outputs_of_torchvision_in_train_mode():
    net, size = torchvision_small("googlenet")
    out = LayerReader(net.train(), ["inception5b"])(torch.randn(2, 3, size, size))
    assert out.logits.shape == (2, CLASSES)
    logits = torch.zeros(2, CLASSES)
    assert logits_of(models.InceptionOutputs(logits, None)) is logits


def test_checkpointed_blocks_are_read_once():
    """Under activation checkpointing blocks run again in the backward pass, where nobody reads."""
    with global_stream(0, "network"):
        net = models.DenseNet(8, (2, 2), 16, num_classes=CLASSES, memory_efficient=True)
    read = LayerReader(net, ["features.denseblock1.denselayer1.conv1", "features.denseblock2.denselayer2"])
    for _ in range(2):
        out = read(torch.randn(2, 3, 64, 64))
        kept = {name: x.clone() for name, x in out.layers.items()}
        sum(x.sum() for x in (out.logits, *out.layers.values()) if x.requires_grad).backward()
        assert read._hooks.kept is None and all(torch.equal(out[name], x) for name, x in kept.items())


def compare_compiled(network, plain, names, options, size=32, tolerance=0.0, modes=(True, False)):
    """Values in both modes, gradients in train mode; both networks have the same weights."""
    images = torch.randn(4, 3, size, size, generator=torch.Generator().manual_seed(0))
    readers = LayerReader(plain, names), LayerReader(network, names, compile=options)
    for mode in modes:
        plain.train(mode), network.train(mode)
        results = []
        for net, read in zip((plain, network), readers):
            with global_stream(0, "pass"):
                out = read(images)
            slopes = gradients(net, out.logits, out.layers) if mode else []
            results.append(({**out.layers, "logits": out.logits}, slopes))
        (values, slopes), (got, got_slopes) = results
        assert list(values) == list(got)
        torch.testing.assert_close(got, values, rtol=tolerance, atol=tolerance)
        for a, b in zip(got_slopes, slopes, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * float(b.abs().max() + 1))
    for read in readers:
        read.close()


def small(seed, name="resnet8"):
    with global_stream(seed, "network"):
        return create_model(name, CLASSES)


@pytest.fixture
def fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def test_readers_of_many_compiled_networks(fresh_compiler):
    """More networks of one class than the compiler keeps versions of a function, each read differently."""
    first = small(0)
    first.compile(backend="eager")
    first(torch.zeros(2, 3, 32, 32))
    names = ["stage1", "stage2", "stage3", "stage1_preact", "stage2_preact", "stage3_preact", "last", "pooled"]
    for seed in range(10):
        compare_compiled(small(seed), small(seed), names[:seed], {"backend": "eager"})


@pytest.mark.parametrize("way", ["wrapped", "in place", "by the reader"])
def test_ways_to_compile(fresh_compiler, way):
    network, plain = small(0), small(0)
    if way == "wrapped":
        network = torch.compile(network, backend="aot_eager")
        network(torch.zeros(2, 3, 32, 32)), plain(torch.zeros(2, 3, 32, 32))  # moves the statistics of both
    if way == "in place":
        network.compile(backend="aot_eager")
        network(torch.zeros(2, 3, 32, 32)), plain(torch.zeros(2, 3, 32, 32))
    options = False if way == "wrapped" else {"backend": "aot_eager"}
    compare_compiled(network, plain, ["stages", "stages_preact", "pooled"], options, tolerance=2e-5)


def test_compiled_network_that_writes_in_place(fresh_compiler):
    compare_compiled(
        small(0, "torchvision:resnet18"),
        small(0, "torchvision:resnet18"),
        ["layer1.0.bn2", "layer1.1.relu:input", "stages"],
        {"backend": "aot_eager"},
        size=64,
        tolerance=1e-4,
    )


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="the default compiler needs a C++ compiler")
def test_default_compiler(fresh_compiler):
    compare_compiled(small(0), small(0), ["stages", "stages_preact", "pooled"], True, tolerance=2e-4, modes=(True,))


def test_slow_learners_are_the_three_that_recipes_mean():
    with torch.device("meta"):
        slow = {name for name in NETWORKS if getattr(create_model(name, CLASSES), "slow_learning_rate", False)}
    assert slow == {"mobilenetv2", "shufflenetv1", "shufflenetv2"}
