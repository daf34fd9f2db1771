class ShopController < ApplicationController
  allow_unauthenticated_access

  def home
    intilery_page "Home"
  end

  def show
    intilery_page "Product", sku: params[:sku]
    render :text
  end

  def sign_up; end

  def sign_in; end

  def profile; end

  def change
    current_user.update!(name: params[:user][:name])
    redirect_to root_path
  end

  def order
    intilery_track "Order Completed", total: 38, currency: "GBP"
    intilery_track "Coupon Used", code: "TEA10"
    redirect_to root_path
  end

  def consent
    intilery_consent params[:choice] == "yes"
    redirect_to root_path
  end

  def newsletter
    intilery_track "Newsletter Subscribed", list: params[:list]
    render json: { subscribed: true }
  end

  def prices
    expires_in 10.minutes, public: true
    render :text
  end

  def admin
    render :text
  end
end
