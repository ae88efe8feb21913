__version__ = "0.1.0"

__doc__ = "Knowledge distillation, method beside method. What most people want is here, imported when it is first asked for."

_HOMES = {
    "icckd.distillation.distil": "distil",
    "icckd.training.trainer": "fit",
    "icckd.training.evaluate": "evaluate",
    "icckd.training.recipe": "Recipe",
    "icckd.models.create": "create_model",
    "icckd.models.finding": "find_layers",
    "icckd.models.layers": "publish_layers LayerReader",
    "icckd.data.create": "load_dataset",
    "icckd.losses.methods": "create_criterion",
    "icckd.losses.criterion": "Criterion Sum",
    "icckd.losses.classification.ab": "ab_loss",
    "icckd.losses.classification.at": "at_loss",
    "icckd.losses.classification.cc": "cc_loss",
    "icckd.losses.classification.crd": "crd_loss",
    "icckd.losses.classification.cross_entropy": "cross_entropy_loss",
    "icckd.losses.classification.dist": "dist_loss",
    "icckd.losses.classification.dkd": "dkd_loss",
    "icckd.losses.classification.fitnet": "fitnet_loss",
    "icckd.losses.classification.fsp": "fsp_loss",
    "icckd.losses.classification.ft": "ft_loss",
    "icckd.losses.classification.ickd": "ickd_c_loss",
    "icckd.losses.classification.kd": "kd_loss",
    "icckd.losses.classification.mlld": "mlld_loss",
    "icckd.losses.classification.nkd": "nkd_loss",
    "icckd.losses.classification.normkd": "normkd_loss",
    "icckd.losses.classification.nst": "nst_loss",
    "icckd.losses.classification.ofd": "ofd_loss",
    "icckd.losses.classification.pkt": "pkt_loss",
    "icckd.losses.classification.reviewkd": "reviewkd_loss",
    "icckd.losses.classification.rkd": "rkd_loss",
    "icckd.losses.classification.rld": "rld_loss",
    "icckd.losses.classification.sp": "sp_loss",
    "icckd.losses.classification.ttm": "ttm_loss",
    "icckd.losses.classification.vid": "vid_loss",
    "icckd.losses.classification.wttm": "wttm_loss",
    "icckd.losses.segmentation.cirkd": "cirkd_mini_batch_loss",
    "icckd.losses.segmentation.cross_entropy": "segmentation_cross_entropy_loss",
    "icckd.losses.segmentation.cwd": "cwd_loss",
    "icckd.losses.segmentation.dsd": "csd_loss psd_loss",
    "icckd.losses.segmentation.ickd_s": "ickd_s_loss",
    "icckd.losses.segmentation.ifvd": "ifvd_loss",
    "icckd.losses.segmentation.local": "local_loss local_cosine_loss",
    "icckd.losses.segmentation.mimic": "mimic_loss",
    "icckd.losses.segmentation.overhaul": "overhaul_loss",
    "icckd.losses.segmentation.pairwise": "pairwise_loss",
    "icckd.losses.segmentation.pixelwise": "pixelwise_loss",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}
__all__ = sorted(_HOME_OF)


def __getattr__(name: str):
    if name not in _HOME_OF:
        raise AttributeError(f"module 'icckd' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME_OF[name]), name)


def __dir__():
    return [*globals(), *__all__]
