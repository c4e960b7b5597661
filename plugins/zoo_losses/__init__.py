"""Terms that rows minimise: likelihoods, divergences and adversarial losses; and the values that some of them need."""

from zoo import api

TERMS = {
    "terms": {
        "reconstruction": "-log p(x|z) of a Gaussian (or Laplace) decoder, nats an image",
        "kl": "KL(q(z|x) || N(0, I)), nats an image",
        "discriminate": "binary cross-entropy of a critic on real and generated images",
        "non_saturating": "the generator's non-saturating loss",
        "reverse_kl": "the generator's KL(p_G || p_data), at the optimal critic",
        "latent_nll": "-log q(z|G(z, z_a)): the generator inverts the encoder",
    },
    "adversarial": {
        "hinge": "the critic's hinge loss",
        "least_squares": "the critic's least squares (LSGAN)",
        "least_squares_generator": "the generator's least squares (LSGAN)",
        "wasserstein": "the critic's score, generated minus real (WGAN)",
        "relativistic": "the critic's cross-entropy of pairs, real above generated",
        "relativistic_generator": "the generator's cross-entropy of pairs, generated above real",
        "consistency": "a critic that heeds no augmentation",
    },
    "slopes": {
        "gradient_penalty": "the critic's slope held at 1, between real and generated images",
        "r1": "the critic's slope held at 0, at real images",
        "r2": "the critic's slope held at 0, at generated images",
        "r1_of_code": "the slope of a critic of codes held at 0, at real images (ALAE)",
    },
    "distances": {
        "distance": "the value 'distance': what an autoencoder is from its images",
        "perceptual_loss": "a judge's distance of reconstructions, such as LPIPS",
        "optimal_variance": "-log p(x|z) of a Gaussian decoder with the batch's own variance, nats an image",
        "adaptive_fooling": "-C(x_rec), its gradient as large as the distance's at the decoder's last layer",
    },
    "codes": {"feature_alignment": "codes that look like a teacher's features (VA-VAE)"},
    "aggregate": {
        "capacity": "how far the KL is from so many nats (Burgess 2018)",
        "covariance_off_diagonal": "covariances of codes, squared (DIP-VAE)",
        "covariance_diagonal": "variances of codes less 1, squared (DIP-VAE)",
        "code_information": "what codes tell of which image it is, nats (beta-TCVAE)",
        "total_correlation": "how far dimensions of codes are from independent, nats (beta-TCVAE)",
        "dimension_kl": "KL to the prior of each dimension's own distribution, nats (beta-TCVAE)",
        "code_norm": "half the squared length of codes",
    },
    "importance": {
        "importance_bound": "the bound on -log p(x) of several codes an image, nats (IWAE)",
        "doubly_reparameterised": "what gives an encoder that bound's gradient (DReG)",
    },
    "ladder": {"kl_level": "KL of a level of codes, given the one above it, nats, less free bits"},
}
VALUES = {
    "slopes": {"interpolates": "points between real and generated images"},
    "augmented": {
        "augmented_x": "images, augmented differentiably (DiffAugment)",
        "augmented_generated": "generated images, augmented differentiably (DiffAugment)",
        "critic_augmented": "the critic at augmented images",
    },
    "distances": {
        "pixel_distance": "L1 or L2 of a reconstruction, summed over its numbers",
        "perceptual_distance": "that, and a judge's distance beside each number",
        "scaled_distance": "that, scaled by a learned variance",
        "fooling": "-C(x_rec)",
        "fooling_squared": "(C(x_rec) - 1)^2 / 2",
        "adaptive_weight": "ratio of two gradients' norms at the decoder's last layer",
    },
    "codes": {
        "teacher_features": "features of images by a frozen teacher",
        "aligned_codes": "codes through a linear map to a teacher's features",
        "turns": "quarter turns of each image, for half of them none",
        "x_turned": "images, turned",
        "codes_turned": "codes, turned (EQ-VAE)",
        "x_shrunk": "images, turned and shrunk",
        "codes_shrunk": "codes, turned and shrunk (EQ-VAE)",
    },
    "aggregate": {
        "code_covariance": "covariance of codes over a batch",
        "code_log_densities": "log density of each code by each image's posterior, by dimension",
        "codes_permuted": "codes, each dimension from another image (FactorVAE)",
    },
    "importance": {
        "importance_codes": "several samples of each image's posterior",
        "importance_reconstructions": "the decoder at all of these",
        "log_importance_weights": "log p(x, z) - log q(z|x) of each, nats",
    },
    "ladder": {
        "level_above": "a level of codes, of the one below or above it",
        "merged_level": "a level of codes, as images and the level above say",
    },
}


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """The terms, by the names of METHODS, and values."""
    kinds = {"term": TERMS, "value": VALUES}
    return (
        *(
            api.Component(kind, name, f"zoo_losses.{module}:{name}", summary)
            for kind, modules in kinds.items()
            for module, parts in modules.items()
            for name, summary in parts.items()
        ),
        api.Component(
            "value", "alignment_gap", "zoo_losses.codes:feature_alignment", "what feature_alignment minimises"
        ),
        api.Component("term", "path_length", "zoo_losses.slopes:PathLength", "a generator that changes evenly"),
        api.Component("term", "lecam", "zoo_losses.adversarial:LeCam", "a critic near its averages (LeCam)"),
        api.Component(
            "module",
            "learned-variance",
            "zoo_losses.distances:LearnedVariance",
            "one learned scale of distances",
            "B -> B",
        ),
        api.Component(
            "module",
            "alignment",
            "zoo_losses.codes:Alignment",
            "a linear map from codes to a teacher's features (VA-VAE)",
            "B latent -> B features M N",
        ),
    )
