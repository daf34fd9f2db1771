class ApplicationController < ActionController::Base
  include Intilery

  before_action { devise_parameter_sanitizer.permit(:sign_up, keys: [:name]) if devise_controller? }

  def self.allow_unauthenticated_access; end
end
