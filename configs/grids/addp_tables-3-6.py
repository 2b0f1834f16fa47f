# ADDP's ablations (section 4.3), each one change to the ViT-B of 150 epochs.
config = '../pretrain/addp/addp_vit-b_64xb64-amp-coslr-150e_in1k-256px.py'
variants = {
    # Table 3: the unreliable tokens of a step are predicted from its own reliable ones.
    'condition-zt': {'model.condition': 'z_t'},
    # Table 4: unreliable tokens are sampled, or are the most probable ones.
    'mapping-sampling': {'model.mapping': 'Sampling'},
    'mapping-argmax': {'model.mapping': 'ArgMax'},
    # Table 5: reliable tokens enter encoder and decoder, or neither.
    'tokens-everywhere': {'model.token_input': 'encoder+decoder'},
    'tokens-nowhere': {'model.token_input': 'none'},
    # Table 6: the tokens themselves are the target; tokens and prediction; the tokens with half of
    # them masked at every step.
    'target-delta': {'model.target': 'delta'},
    'target-q-delta': {'model.target': 'q+delta'},
    'target-delta-mask-50': {'model.target': 'delta', 'model.mask_schedule.fixed_ratio': 0.5},
    # Shallower decoders; the paper has no such row.
    'decoder-depth-2': {'model.decoder.num_layers': 2},
    'decoder-depth-4': {'model.decoder.num_layers': 4},
}
