# DARL's table 1: positions, pre-trained for 400 epochs. darl-mse_table-1_finetune.py fine-tunes
# them.
config = '../pretrain/darl/darl-mse_vit-l_64xb64-amp-coslr-800e_in1k-224px.py'
variants = {
    positions: {
        'model.backbone.positions': positions,
        'param_scheduler.1.end': 400,
        'train_cfg.max_epochs': 400,
    }
    for positions in ('none', 'sincos', 'learnable', 'rope-1d', 'rope-2d')
}
